"""What is watched about one figure: the settings a series is built from."""

from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["level", "ratio", "absence"]
Side: TypeAlias = Literal["up", "down", "both"]

# 10 ** -4: at one window a minute, less than one window a week of a series that is itself.
OPENS_AT: Final = 4.0
CRITICAL_AT: Final = 8.0
# Once open, only this is quiet: a fault near the threshold would else open and close all day.
QUIET_BELOW: Final = 2.5
QUIET_WINDOWS: Final = 5


class Kpi(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure to watch; each of its dimensions is a series of its own with these settings.

    ``window_ms`` is the length of the closed windows it is fed with. ``minimum`` says what is too
    little traffic: for a level the larger of the expected and the seen value, for a ratio the
    trials of one hour (or of one window, if that is longer); an absence knows by itself.
    ``counts``: the value is a number of events, so that it cannot be steadier than Poisson.
    ``log``: compare ratios, not differences; values below 0 need it off. ``zone`` (IANA) says
    whose hours and weekends count. ``open_after``: windows above the threshold before an episode
    opens; by kind when absent.
    """

    name: str
    kind: Kind
    window_ms: int
    direction: Side = "both"
    minimum: float = 0.0
    counts: bool = False
    log: bool = True
    zone: str = "UTC"
    unit: str = ""
    open_after: int | None = None

    def __post_init__(self) -> None:
        if self.window_ms <= 0:
            message = f"anomalies: {self.name}: window_ms must be above 0"
            raise ValueError(message)
        if self.counts and not self.log:
            message = f"anomalies: {self.name}: counts are compared by log; leave log on"
            raise ValueError(message)

    @property
    def opens_after(self) -> int:
        """Windows in a row above the threshold that open an episode."""
        if self.open_after is not None:
            return self.open_after
        return 1 if self.kind == "absence" else 2
