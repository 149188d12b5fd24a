"""The caps, counted again for every message that was charged."""

from collections.abc import Iterable, Sequence

from engine.decisions import Decision
from engine.policy import Policy
from tests.faults.checker.findings import Findings
from tests.faults.checker.intake import Taken
from tests.support.clerk import broken_cap, moments


def recount(
    log: Sequence[Taken], made: Iterable[Decision], policy: Policy, findings: Findings
) -> None:
    """Count messages beyond any cap of ``policy``, in any of its windows.

    ``made``: the decisions of the log's partition, after the readers' rule.
    """
    for moment in moments(((taken.offset, taken.record) for taken in log), made):
        if moment.decision.user_id in policy.testers:
            continue
        findings.tell("charged")
        if broken := broken_cap(moment, policy):
            findings.broke("cap_violations", broken)
