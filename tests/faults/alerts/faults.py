"""All faults of the alerts, in the order of the rule files."""

from typing import Final

from tests.faults.alerts import (
    audit,
    business,
    delivery,
    escalation,
    model,
    pipeline,
    platform,
    slo,
)
from tests.faults.alerts.trial import Fault

GROUPS: Final = (audit, business, delivery, escalation, model, pipeline, platform, slo)

FAULTS: Final[tuple[Fault, ...]] = tuple(fault for group in GROUPS for fault in group.FAULTS)
