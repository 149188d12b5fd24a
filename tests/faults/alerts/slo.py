"""Faults that burn the budgets of the objectives."""

from tests.faults.alerts.trial import Fault

FAULTS: tuple[Fault, ...] = ()
