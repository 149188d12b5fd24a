"""Who would gain and who would lose what, if another campaigns file were in force."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Literal

from engine.decisions import Decision
from streams.replay.preview import WOULD_GET

EXAMPLES: Final = 10
NOTHING: Final = "never decided"

Side = Literal["before", "after"]
Episode = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Example:
    """One person's changed fate: a channel, or the reason of silence."""

    user_id: str
    campaign: str
    key: str
    before: str
    after: str


class Difference:
    """Matches the closing decisions of two runs; keeps only those not matched yet."""

    def __init__(self) -> None:
        """Start with nothing decided on either side."""
        self.same = 0
        self.changed: Counter[tuple[str, str, str]] = Counter()
        self.examples: list[Example] = []
        self._open: dict[Side, dict[Episode, str]] = {"before": {}, "after": {}}

    def add(self, side: Side, decision: Decision) -> None:
        """Take one decision of one side; deferrals are not yet a fate."""
        if decision.outcome == "defer":
            return
        trigger = decision.trigger
        episode = (
            decision.user_id,
            decision.campaign,
            trigger.kind,
            trigger.key,
            trigger.episode,
        )
        other: Side = "after" if side == "before" else "before"
        theirs = self._open[other].pop(episode, None)
        if theirs is None:
            self._open[side][episode] = _fate(decision)
        elif side == "after":
            self._compare(episode, theirs, _fate(decision))
        else:
            self._compare(episode, _fate(decision), theirs)

    def finish(self) -> None:
        """Count what only one side ever decided."""
        for episode, fate in sorted(self._open["before"].items()):
            self._compare(episode, fate, NOTHING)
        for episode, fate in sorted(self._open["after"].items()):
            self._compare(episode, NOTHING, fate)
        self._open = {"before": {}, "after": {}}

    def _compare(self, episode: Episode, before: str, after: str) -> None:
        if before == after:
            self.same += 1
            return
        user, campaign, _, key, _ = episode
        self.changed[campaign, before, after] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(user, campaign, key, before, after))

    def as_json(self) -> dict[str, Any]:
        """Return counts in order, most frequent first, and the examples."""
        ordered = sorted(self.changed.items(), key=lambda entry: (-entry[1], entry[0]))
        return {
            "same": self.same,
            "changed": [
                {"campaign": campaign, "before": before, "after": after, "people": count}
                for (campaign, before, after), count in ordered
            ],
            "examples": [
                {
                    "user_id": example.user_id,
                    "campaign": example.campaign,
                    "key": example.key,
                    "before": example.before,
                    "after": example.after,
                }
                for example in self.examples
            ],
        }


def _fate(decision: Decision) -> str:
    """Return the channel she would get, or the reason she would not."""
    gets = decision.reason in WOULD_GET and decision.channel is not None
    return f"gets {decision.channel}" if gets else decision.reason
