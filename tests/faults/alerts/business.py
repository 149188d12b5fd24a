"""Faults of the shop and of whoever counts its figures."""

from tests.faults.alerts.trial import Fault

FAULTS: tuple[Fault, ...] = ()
