"""An operator's pause silences: of the campaign, in its file or by command, or of the channel."""

from engine.ports import Case, Objection


class Pause:
    """Suppresses rather than holds: the end of a pause must not release a burst."""

    at_handover = True
    for_testers = True

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection, of the campaign before that of the channel."""
        if case.campaign.status == "paused" or f"campaign:{case.campaign.id}" in case.paused:
            return Objection("campaign_paused")
        if f"channel:{channel}" in case.paused:
            return Objection("channel_paused")
        return None


GUARD = Pause()
