"""An operator's pause silences: of the campaign, in its file or by command, or of the channel."""

from engine.ports import Case, Objection


class Pause:
    """Suppresses rather than holds: the end of a pause must not release a burst."""

    at_handover = True
    for_testers = True

    def __call__(self, case: Case, channel: str) -> Objection | None:
        """Return the objection, of the campaign before that of the channel."""
        paused = case.standing.paused
        if case.campaign.status == "paused":
            return Objection("campaign_paused")
        if not paused:
            return None
        if (held := paused.get(f"campaign:{case.campaign.id}")) is not None:
            return Objection("campaign_paused", held=held)
        if (held := paused.get(f"channel:{channel}")) is not None:
            return Objection("channel_paused", held=held)
        return None


GUARD = Pause()
