"""Nobody hears from us more often than the operator allows, whatever the reasons to speak."""

from engine.ports import Case, Objection
from rules.frequency import fill


class Caps:
    """Every cap must allow; the first full one is named, the last to open says until when."""

    at_handover = False  # they hold the action's own charge
    for_testers = False

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection of the caps that bind this channel."""
        first, until = None, 0
        for cap in case.policy.caps:
            if cap.channel not in {None, channel}:
                continue
            state = fill(cap, case)
            if state.used >= cap.limit:
                first = first or cap.name
                until = max(until, state.free_at)
        if first is None:
            return None
        return Objection(f"cap:{first}", until if case.campaign.when_capped == "hold" else None)


GUARD = Caps()
