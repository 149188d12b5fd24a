"""One audit of all that the topics hold, to their ends: for a report, a drill, or a build."""

from typing import Any

from monitoring.audit.balance import totals
from streams.auditing.following import Following
from streams.auditing.telling import plain, pseudonym
from streams.settings import Deployment
from streams.wall import now_ms

_WAIT = 0.2


async def once(deployment: Deployment) -> dict[str, Any]:
    """Return verdicts and triggers; nothing is paused or kept. Raises Unavailable and Refused."""
    following = Following(deployment, now_ms)
    try:
        await following.start(None, lambda _event, _at: None)
        found = await following.finish(_WAIT)
    finally:
        await following.stop()
    lanes = following.lanes.values()
    verdicts: dict[str, dict[str, int]] = {}
    for channel, count in found.passed.items():
        verdicts.setdefault(channel, {})["ok"] = count
    for finding in found.findings:
        counts = verdicts.setdefault(finding.channel, {})
        counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
    return {
        "records": found.records,
        "whole": all(lane.state.whole for lane in lanes),
        "verdicts": verdicts,
        "violations": [plain(finding) for finding in found.findings],
        "triggers": totals(lane.state.balance for lane in lanes),
        "unbalanced": [
            {"campaign": fault.campaign, "user": pseudonym(fault.user), "why": fault.why}
            for fault in found.faults
        ],
        "unjudged": sum(lane.unjudged for lane in lanes),
        "unreadable": following.unreadable + sum(lane.arrivals.unreadable for lane in lanes),
    }
