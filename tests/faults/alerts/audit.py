"""Faults that only the audit sees: messages that must not be there, and an audit that is gone."""

from tests.faults.alerts.trial import Fault

FAULTS: tuple[Fault, ...] = ()
