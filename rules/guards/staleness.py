"""What comes too late, after an outage or a long hold, is not said at all."""

from engine.ports import Case, Objection


class Staleness:
    """Objects once the due time is more than ``stale_after`` ago.

    Not at hand-over: from the decision on, ``expires_at`` of the action says how long it is good.
    """

    at_handover = False
    for_testers = True

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection: lateness is the same on every channel."""
        late = case.now > case.trigger.due_at + case.campaign.stale_after
        return Objection("stale") if late else None


GUARD = Staleness()
