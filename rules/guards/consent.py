"""Nobody hears from us who has not said yes."""

from engine.ports import Case, Objection


class Marketing:
    """Objects unless her last word on marketing over this channel was yes; no word is a no."""

    at_handover = True
    for_testers = True

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection."""
        word = case.profile.consent("marketing", channel)
        return None if word is not None and word.granted else Objection("no_consent")


GUARD = Marketing()
