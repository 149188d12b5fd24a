"""A violation pauses its channel: once per episode, with its evidence, and never resumes it.

An episode begins with a violation and ends when the log shows that somebody resumed the channel.
What was done before that is not held against the channel again, nor is what lies an hour back: a
pause is to stop what goes on, not to answer history.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from uuid import uuid5

from msgspec import Struct

from engine.draws import NAMESPACE
from engine.errors import Refused, Unavailable
from engine.events import Control
from engine.times import HOUR, iso
from monitoring.audit.reading import Event
from monitoring.audit.verdicts import PAUSING, Finding

log = logging.getLogger(__name__)

_CHANNEL: Final = "channel:"
_FRESH: Final = HOUR

Act = Callable[[Control], Awaitable[object]]


class Episode(Struct):
    """One channel. ``since``: when it was paused by us, 0 = nothing is open; both broker ms."""

    since: int = 0
    resumed_at: int = 0


class Pausing:
    """Decides which violations pause, and pauses."""

    def __init__(
        self, act: Act, now: Callable[[], int], shop_now: Callable[[], int] | None = None
    ) -> None:
        """``act`` carries a control out; ``now``: wall ms; ``shop_now`` dates a control.

        The two differ where the data carries its own time.
        """
        self._act = act
        self._now = now
        self._shop_now = shop_now or now
        self.episodes: dict[str, Episode] = {}
        self._asked: list[tuple[Finding, int]] = []

    @property
    def waits(self) -> bool:
        """Return whether a violation has neither paused nor been found to need no pause."""
        return bool(self._asked)

    def heard(self, settings: Event, at: int) -> None:
        """Take a settings record appended at ``at`` ms: who resumes a channel ends its episode."""
        for target, paused in settings.pause.items():
            if paused or not target.startswith(_CHANNEL):
                continue
            episode = self.episodes.setdefault(target.removeprefix(_CHANNEL), Episode())
            episode.resumed_at = max(episode.resumed_at, at)
            if at > episode.since:  # else it tells of an earlier pause: partitions are read apart
                episode.since = 0

    def ask(self, findings: Iterable[Finding]) -> None:
        """Note violations that may pause."""
        now = self._now()
        self._asked += [
            (finding, now)
            for finding in findings
            if finding.verdict in PAUSING and now - finding.at <= _FRESH
        ]

    async def act(self, known: Callable[[int], int]) -> list[str]:
        """Pause what must be paused; returns the channels.

        ``known``: up to when the settings of a partition are known (wall ms). Only what is known
        to now can say that a channel was resumed since, so a violation waits for that.
        """
        paused = []
        left: list[tuple[Finding, int]] = []
        failed: set[str] = set()
        for finding, found_at in self._asked:
            if finding.channel in failed:  # to try it once is enough: an attempt may take long
                left.append((finding, found_at))
                continue
            episode = self.episodes.setdefault(finding.channel, Episode())
            if episode.since or finding.at <= episode.resumed_at:
                continue
            if known(finding.partition) < found_at:
                left.append((finding, found_at))
            elif await self._pause(finding, episode):
                paused.append(finding.channel)
            else:
                failed.add(finding.channel)
                left.append((finding, found_at))
        self._asked = left
        return paused

    async def _pause(self, finding: Finding, episode: Episode) -> bool:
        now = self._now()
        control = Control(
            id=str(uuid5(NAMESPACE, f"audit|{finding.channel}|{finding.action_id}|{finding.at}")),
            at=self._shop_now(),
            actor="audit",
            action="pause",
            target=_CHANNEL + finding.channel,
            reason=f"audit: {finding.verdict.replace('_', ' ')}",
            evidence={
                "verdict": finding.verdict,
                "action_id": finding.action_id,
                "partition": float(finding.partition),
                "seen_at": iso(finding.at),
            },
        )
        try:
            await self._act(control)
        except Unavailable as away:
            log.warning("%s is to be paused and cannot be yet: %s", finding.channel, away)
            return False
        except Refused as refused:
            log.error("%s was not paused: %s", finding.channel, refused)  # noqa: TRY400 - a sentence
            episode.since = now
            return True
        episode.since = now
        log.error("audit: %s is paused until somebody resumes it", finding.channel)
        return True
