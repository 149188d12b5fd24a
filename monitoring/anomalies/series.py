"""Builds the series of a KPI, new or from saved state."""

from typing import TypeAlias

from monitoring.anomalies.absence import Absence
from monitoring.anomalies.kpi import Kpi
from monitoring.anomalies.level import Level
from monitoring.anomalies.ratio import Ratio

Series: TypeAlias = Level | Ratio | Absence


def build(kpi: Kpi) -> Series:
    """Return a new series of ``kpi``, which has seen nothing yet."""
    match kpi.kind:
        case "level":
            return Level(kpi)
        case "ratio":
            return Ratio(kpi)
        case "absence":
            return Absence(kpi)


def restored(kpi: Kpi, state: bytes) -> Series | None:
    """Return the series of ``kpi`` whose `state` was saved.

    None when the state is of another version, another kind or other settings that shape it:
    it would be read wrongly, so the series begins anew.
    """
    match kpi.kind:
        case "level":
            return Level.restored(kpi, state)
        case "ratio":
            return Ratio.restored(kpi, state)
        case "absence":
            return Absence.restored(kpi, state)
