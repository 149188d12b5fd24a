"""Faults of the model: refused, old, drifted, wrong."""

from tests.faults.alerts.trial import Fault

FAULTS: tuple[Fault, ...] = ()
