"""What an audit says to people: one sentence per violation, without a person in it."""

from hashlib import sha256
from typing import Any

from engine.times import iso
from monitoring.audit.balance import Fault
from monitoring.audit.verdicts import Finding


def pseudonym(user: str) -> str:
    """Return the first 12 hex digits of the sha256 of a user id, to compare by."""
    return sha256(user.encode()).hexdigest()[:12]


def line(finding: Finding) -> str:
    """Return a violation as a sentence."""
    return (
        f"audit: {finding.verdict.replace('_', ' ')}: action {finding.action_id} on "
        f"{finding.channel} to user #{pseudonym(finding.user_id)}, partition {finding.partition}, "
        f"{iso(finding.at)}: {finding.detail}"
    )


def fault_line(fault: Fault) -> str:
    """Return a trigger that does not add up as a sentence."""
    return (
        f"audit: unbalanced: a trigger of campaign {fault.campaign} for user "
        f"#{pseudonym(fault.user)} {fault.why}"
    )


def plain(finding: Finding) -> dict[str, Any]:
    """Return a violation for machines, without the user id."""
    return {
        "verdict": finding.verdict,
        "channel": finding.channel,
        "action_id": finding.action_id,
        "user": pseudonym(finding.user_id),
        "partition": finding.partition,
        "at": iso(finding.at),
        "detail": finding.detail,
    }
