"""The last decisions of this worker as sentences, with pseudonyms in the place of ids.

Decisions are kept as they were written and read only when the page is: 50 of them cost nothing
while a thousand a second go by.
"""

from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from engine.decisions import Decision, decode
from engine.policy import Policy
from engine.times import from_iso
from monitoring.page.schema import Told
from streams.sentence import sentence

MOST: Final = 50


def pseudonym(user_id: str, key: bytes) -> str:
    """Return what stands for a person on the open page: without the key nobody finds her by it."""
    return blake2b(user_id.encode(), key=key, digest_size=6).hexdigest()


class LastDecisions:
    """Keeps the last decisions; told by the decide agent, asked by the summary."""

    def __init__(self) -> None:
        """Nothing was decided yet."""
        self._new: deque[bytes] = deque(maxlen=MOST)
        self._told: deque[dict[str, Any]] = deque(maxlen=MOST)

    def add(self, values: Sequence[bytes]) -> None:
        """Take in decisions as they were written to their topic."""
        self._new.extend(values[-MOST:])

    def told(self, policy: Policy | None, key: bytes) -> list[dict[str, Any]]:
        """Return them as the page has them; ``policy`` takes the arithmetic apart."""
        while self._new:
            decision = decode(self._new.popleft())
            self._told.append(msgspec.to_builtins(_told(decision, policy, key)))
        return list(self._told)


def _told(decision: Decision, policy: Policy | None, key: bytes) -> Told:
    worths = [view.worth for view in decision.channels.values() if view.worth is not None]
    chosen = decision.channels.get(decision.channel or "")
    worth = chosen.worth if chosen is not None else max(worths, default=None)
    return Told(
        # The id itself is a hash of the person's and the trigger's, and a key to other topics.
        id=blake2b(decision.decision_id.encode(), key=key, digest_size=8).hexdigest(),
        at=from_iso(decision.at),
        user=pseudonym(decision.user_id, key),
        campaign=decision.campaign,
        trigger=decision.trigger.kind,
        outcome=decision.outcome,
        reason=decision.reason,
        channel=decision.channel,
        worth=worth,
        sentence=sentence(decision, policy),
    )
