"""Faults of gateways, of what they report, and pauses left on."""

from tests.faults.alerts.trial import Fault

FAULTS: tuple[Fault, ...] = ()
