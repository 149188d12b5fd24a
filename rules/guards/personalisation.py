"""Who has switched personalisation off gets no message that rests on what she did."""

from engine.ports import Case, Objection


class Personalisation:
    """Objects when her last word on it was no; PIPL Art. 24 asks for an easy way out, not in."""

    at_handover = True
    for_testers = True

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection."""
        word = case.profile.consent("personalisation", channel)
        return Objection("personalisation_off") if word is not None and not word.granted else None


GUARD = Personalisation()
