"""One campaign leaves one person alone for a while after it has spoken."""

from engine.ports import Case, Objection
from rules.charges import charged_since, forgotten_since


class Cooldown:
    """Objects while a charge of the same campaign is younger than its cooldown.

    Never holds: what is said days after its reason is worse than silence.
    """

    at_handover = False  # the action's own charge would object to itself
    for_testers = False

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection: the campaign rests on every channel."""
        if case.campaign.cooldown <= 0:
            return None
        start = case.now - case.campaign.cooldown
        spoke = bool(charged_since(case, start, campaign=case.campaign.id))
        return Objection("cooldown") if spoke or forgotten_since(case, start) else None


GUARD = Cooldown()
