"""Which sends count against caps and cooldowns of a case: one rule for all who count."""

from engine.ports import Case
from engine.profile import Send


def counts(send: Send, case: Case) -> bool:
    """Return whether a charge binds this decision.

    One given back never does; one of a dry run binds only dry runs (a real message must not be
    refused because of one that was never sent); one withheld from the holdout always does, so
    that treated and withheld people stand under the same caps.
    """
    if not send.charged:
        return False
    return send.withheld != "dry_run" or case.dry_run


def charged_since(
    case: Case, start: int, *, channel: str | None = None, campaign: str | None = None
) -> list[int]:
    """Return the times (ms, rising) of charges later than ``start``, of one channel or campaign."""
    return [
        send.at
        for send in case.profile.sends
        if send.at > start
        and (channel is None or send.channel == channel)
        and (campaign is None or send.campaign == campaign)
        and counts(send, case)
    ]


def forgotten_since(case: Case, start: int) -> bool:
    """Return whether a send later than ``start`` had to leave the log: in doubt, silence."""
    return case.profile.sends_lost_at > start
