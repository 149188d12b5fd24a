"""What is watched: the KPI table with its sources of visits, costs and days known beforehand."""

from msgspec import Struct
from msgspec.structs import replace

from engine.times import HOUR
from monitoring.anomalies.kpi import Kpi
from monitoring.figures.acquisition import Origins
from monitoring.figures.catalogue import FIGURES, Figure
from monitoring.figures.plan import Plan
from monitoring.figures.shelf import Limits


class Watched(Struct, frozen=True, kw_only=True):
    """One row of the table: a figure, and how the detector is set for it."""

    kpi: Kpi
    figure: str
    title: str

    @property
    def name(self) -> str:
        """Return the name of the KPI."""
        return self.kpi.name

    @property
    def of(self) -> Figure:
        """Return its figure."""
        return FIGURES[self.figure]


class KnownDay(Struct, frozen=True, kw_only=True):
    """A stretch of time that is known to be unlike others; ``kpis`` empty = all."""

    what: str
    start: int
    end: int
    kpis: tuple[str, ...] = ()

    def covers(self, kpi: str, begin: int, end: int) -> bool:
        """Return whether a window of a KPI lies in it, even in part."""
        return (not self.kpis or kpi in self.kpis) and begin < self.end and end > self.start


class Table(Struct, frozen=True, kw_only=True):
    """The whole KPI file. ``currency`` is that of the costs; ``sha``: of its bytes."""

    watched: tuple[Watched, ...]
    origins: Origins
    days: tuple[KnownDay, ...] = ()
    stock: Limits = Limits()
    plans: tuple[Plan, ...] = ()
    currency: str = ""
    sha: str = ""

    def by_the_hour(self) -> "Table":
        """Return the same with windows of an hour at least, for a shop that ticks once an hour.

        Between two ticks nothing is decided: minutes of such a shop are bursts and silences.
        """
        watched = [
            replace(one, kpi=replace(one.kpi, window_ms=max(HOUR, one.kpi.window_ms)))
            for one in self.watched
        ]
        return replace(self, watched=tuple(watched))


__all__ = ["KnownDay", "Table", "Watched"]
