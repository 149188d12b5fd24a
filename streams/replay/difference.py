"""Who would gain and who would lose what, if another campaigns file were in force."""

from bisect import insort
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from engine.decisions import Decision
from streams.replay.preview import WOULD_GET, Preview

EXAMPLES: Final = 10
# A fate of one side where the other side never came to decide.
NOTHING: Final = "never decided"
GETS: Final = "gets "

Side = Literal["before", "after"]
Episode = tuple[str, str, str, str, str]
Change = tuple[str, str, str]


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """One person's changed fate: a channel, or the reason of silence."""

    user_id: str
    campaign: str
    kind: str
    key: str
    before: str
    after: str

    def as_json(self) -> dict[str, str]:
        """Return it with names."""
        return {
            "user_id": self.user_id,
            "campaign": self.campaign,
            "kind": self.kind,
            "key": self.key,
            "before": self.before,
            "after": self.after,
        }


@dataclass(slots=True)
class _Changed:
    """How many fates changed in one way, and the first few of them by user id."""

    count: int = 0
    first: list[Example] = field(default_factory=list)

    def add(self, example: Example) -> None:
        self.count += 1
        insort(self.first, example)
        del self.first[EXAMPLES:]


class Difference:
    """Matches the closing decisions of two sides; keeps only those not matched yet.

    ``before`` and ``after`` are what each side came to, ``same`` counts equal fates, ``retimed``
    those among them that get the same at another time.
    """

    def __init__(self) -> None:
        """Start with nothing decided on either side."""
        self.before = Preview()
        self.after = Preview()
        self.same = 0
        self.retimed = 0
        self._changes: dict[Change, _Changed] = {}
        self._open: dict[Side, dict[Episode, tuple[str, str]]] = {"before": {}, "after": {}}

    @property
    def changed(self) -> Mapping[Change, int]:
        """Return counts by (campaign, before, after), most frequent first."""
        ordered = sorted(self._changes.items(), key=lambda entry: (-entry[1].count, entry[0]))
        return {change: found.count for change, found in ordered}

    @property
    def gained(self) -> set[str]:
        """Return who is spoken to after and was not before."""
        return self.after.people - self.before.people

    @property
    def lost(self) -> set[str]:
        """Return who was spoken to before and is not after."""
        return self.before.people - self.after.people

    @property
    def reasons(self) -> dict[str, tuple[int, int]]:
        """Return, by fate of any campaign, how many had it before and after."""
        before, after = _fates(self.before), _fates(self.after)
        return {fate: (before[fate], after[fate]) for fate in sorted(before | after)}

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
        mine, theirs = (_fate(decision), decision.at), self._open[other].pop(episode, None)
        if theirs is None:
            self._open[side][episode] = mine
        elif side == "after":
            self._compare(episode, theirs, mine)
        else:
            self._compare(episode, mine, theirs)

    def finish(self) -> None:
        """Count what only one side ever decided."""
        for episode, fate in self._open["before"].items():
            self._compare(episode, fate, (NOTHING, ""))
        for episode, fate in self._open["after"].items():
            self._compare(episode, (NOTHING, ""), fate)
        self._open = {"before": {}, "after": {}}

    def _compare(self, episode: Episode, before: tuple[str, str], after: tuple[str, str]) -> None:
        if before[0] == after[0]:
            self.same += 1
            self.retimed += before[0].startswith(GETS) and before[1] != after[1]
            return
        user, campaign, kind, key, _ = episode
        found = self._changes.setdefault((campaign, before[0], after[0]), _Changed())
        found.add(Example(user, campaign, kind, key, before[0], after[0]))

    def examples(self) -> list[Example]:
        """Return at most ten, spread over the ways in which fates changed, each person once.

        The most frequent change comes first; a second example of one is taken when every change
        has one, and a person comes twice only where nobody else is left.
        """
        waiting = [list(self._changes[change].first) for change in self.changed]
        chosen: list[Example] = []
        while len(chosen) < EXAMPLES and any(waiting):
            chosen += _round(waiting, {example.user_id for example in chosen})
        return chosen[:EXAMPLES]

    def as_json(self) -> dict[str, Any]:
        """Return everything, names in order: equal differences are equal texts."""
        return {
            "before": _side(self.before),
            "after": _side(self.after),
            "newly_spoken_to": sorted(self.gained),
            "no_longer_spoken_to": sorted(self.lost),
            "same": self.same,
            "at_another_time": self.retimed,
            "reasons": {
                fate: {"before": before, "after": after}
                for fate, (before, after) in self.reasons.items()
            },
            "changed": [
                {"campaign": campaign, "before": before, "after": after, "count": count}
                for (campaign, before, after), count in self.changed.items()
            ],
            "examples": [example.as_json() for example in self.examples()],
        }


def _round(waiting: list[list[Example]], shown: set[str]) -> Iterator[Example]:
    """Take one example of each change, of somebody not shown yet where there is one."""
    for examples in waiting:
        if examples:
            fresh = next((one for one in examples if one.user_id not in shown), examples[0])
            examples.remove(fresh)
            shown.add(fresh.user_id)
            yield fresh


def _side(preview: Preview) -> dict[str, Any]:
    return {
        "messages": sum(campaign.messages for campaign in preview.campaigns.values()),
        "people": len(preview.people),
        "campaigns": {name: found.as_json() for name, found in sorted(preview.campaigns.items())},
    }


def _fates(preview: Preview) -> Counter[str]:
    """Count how each reason to speak ended, over all campaigns."""
    fates: Counter[str] = Counter()
    for campaign in preview.campaigns.values():
        fates.update({GETS + channel: count for channel, count in campaign.would_get.items()})
        fates.update(campaign.silenced)
        fates.update(campaign.ended)
    return fates


def _fate(decision: Decision) -> str:
    """Return the channel she would get, or the reason she would not."""
    gets = decision.reason in WOULD_GET and decision.channel is not None
    return f"{GETS}{decision.channel}" if gets else decision.reason
