"""The last decisions as sentences, for the page: no id of a person, but a hash of it."""

from engine.decisions import Decision
from engine.draws import fingerprint
from monitoring.figures.told import TailRow
from streams.sentence import sentence


def told(decision: Decision, at: int) -> TailRow:
    """Return one decision, appended at ``at`` (ms), as the page may show it.

    A reason of a newer release has no sentence yet, and is told as it stands.
    """
    try:
        text = sentence(decision)
    except KeyError:
        text = decision.reason
    return TailRow(
        at=at,
        user=f"u-{fingerprint(decision.user_id).hex()[:10]}",
        campaign=decision.campaign,
        channel=decision.channel or "",
        outcome=decision.outcome,
        reason=decision.reason,
        text=text,
    )


__all__ = ["told"]
