"""Faults of Redis, Kafka, the processes, and of whoever watches the watchers."""

from tests.faults.alerts.trial import Fault

FAULTS: tuple[Fault, ...] = ()
