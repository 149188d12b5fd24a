"""A message needs a person and an address."""

from engine.ports import Case, Objection
from engine.profile import ANONYMOUS


class Reachability:
    """Objects to anonymous users (nobody is known to have agreed) and where no address is known."""

    at_handover = True
    for_testers = True

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection."""
        reach = case.profile.reach.get(channel)
        known = reach is not None and bool(reach.address)
        if known and not case.user_id.startswith(ANONYMOUS):
            return None
        return Objection("unreachable")


GUARD = Reachability()
