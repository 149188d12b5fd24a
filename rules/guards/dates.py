"""A campaign speaks only between its first and its last day."""

from engine.ports import Case, Objection


class Dates:
    """Objects before ``starts`` and from ``ends`` on."""

    at_handover = True
    for_testers = True

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection: dates bind every channel alike."""
        starts, ends = case.campaign.starts, case.campaign.ends
        early = starts is not None and case.now < starts
        late = ends is not None and case.now >= ends
        return Objection("outside_dates") if early or late else None


GUARD = Dates()
