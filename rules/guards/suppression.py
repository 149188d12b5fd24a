"""An address that bounced for good is not tried again until she gives another."""

from engine.ports import Case, Objection


class Suppression:
    """Objects to the address, not to the person: her other channels stay open."""

    at_handover = True
    for_testers = True

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection."""
        reach = case.profile.reach.get(channel)
        bounced = reach is not None and reach.suppressed
        return Objection("suppressed_address") if bounced else None


GUARD = Suppression()
