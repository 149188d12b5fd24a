"""A throttled channel lets a share of its messages through, by lot, the same in a replay."""

from engine.draws import draw
from engine.ports import Case, Objection


class Throttle:
    """Suppresses what the lot puts beyond the channel's share; the end of it releases nothing.

    The lot is that of the episode: asked again, at the hand-over too, it falls the same, and who is
    let through at a lower share is so at any higher one. Testers send too little to matter.
    """

    at_handover = True
    for_testers = False

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection for what falls beyond the channel's share."""
        throttled = case.standing.throttled
        if not throttled:
            return None
        held = throttled.get(f"channel:{channel}")
        if held is None or self._lot(case) < held.share:
            return None
        return Objection("rate_brake", held=held)

    @staticmethod
    def _lot(case: Case) -> float:
        policy, trigger = case.policy, case.trigger
        episode = f"{case.user_id}|{trigger.campaign}|{trigger.key}|{trigger.episode}"
        return draw(policy.app, policy.holdout.epoch, "throttle", episode)


GUARD = Throttle()
