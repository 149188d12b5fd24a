"""What was read of one partition: decoded, rid of repetitions, and kept until it can be judged."""

from collections import deque
from typing import Final

from monitoring.audit import reading
from monitoring.audit.reading import SECOND, Action, Decision, Event, Position
from monitoring.audit.repeats import note
from monitoring.audit.state import State
from monitoring.audit.waiting import Taken, Waiting

# Records that wait per topic before it is read on.
MOST_EVENTS: Final = 5_000
MOST_OTHERS: Final = 500

# A live tick this far from its broker time moves nothing.
_TOLERANCE: Final = 5 * SECOND
# So many ticks in a row by one worker prove that all before the first was decided and written: it
# writes the next one only after it folded the last, and folds only after it wrote what came before.
# Two would do, if it had not been started anew between them.
_PROOF: Final = 3

SHOPPING: Final = frozenset(
    {
        "product_added",
        "product_removed",
        "cart_viewed",
        "checkout_started",
        "order_completed",
        "order_refunded",
        "order_cancelled",
        "order_delivered",
    }
)
# All other records neither move a fact nor arm for certain.
_FACTS: Final = SHOPPING | {"consent_changed", "outcome", "sent_elsewhere", "erased", "settings"}


class Arrivals:
    """The records of one partition that wait.

    ``end``: the offset after the last event, as the caller saw it at ``end_at`` (ms).
    """

    def __init__(self, state: State, channels: tuple[str, ...]) -> None:
        """Go on from ``state``; ``channels`` whose actions are audited."""
        self.state = state
        self.events = deque(state.queue)
        self.decisions: Waiting[Decision] = Waiting()
        self.actions: dict[str, Waiting[Action]] = {name: Waiting() for name in channels}
        self.end, self.end_at = 0, 0
        self.unreadable = 0
        self.repeated = 0

    # --- events ---------------------------------------------------------------------------------

    def event(self, offset: int, at: int, value: bytes) -> Event | None:
        """Take a record of ``events`` appended at ``at`` ms; returns one of settings."""
        self.state.after["events"] = offset + 1
        try:
            event = reading.event(value)
        except reading.Unreadable:
            self.unreadable += 1
            return None
        event.offset = offset
        if event.type == "tick":
            self._tick(event, at)
        elif self._repeats(event) or self._known(event):
            self.repeated += 1
        elif event.type in _FACTS or (event.type == "identified" and event.zones is not None):
            event.source = None
            self.events.append(event)
        return event if event.type == "settings" else None

    def _tick(self, tick: Event, at: int) -> None:
        if tick.limit:
            self.state.ticks = [*self.state.ticks, (tick.offset, tick.origin)][-_PROOF:]
        if not tick.limit or abs(tick.now - at) <= _TOLERANCE:
            self.events.append(tick)

    def _repeats(self, event: Event) -> bool:
        """Return whether its place in its source lies at or below the highest seen."""
        place = event.source
        if place is None:
            return False
        lane = f"{place.source}|{place.partition}"
        highest = self.state.origins.get(lane)
        if highest is not None:
            mine = place.generation, place.offset, place.ordinal
            if place.generation == highest.generation and place.offset != highest.offset:
                if place.offset < highest.offset:
                    return True
            elif mine <= (highest.generation, highest.offset, highest.ordinal):
                return True
        self.state.origins[lane] = place
        return False

    def _known(self, event: Event) -> bool:
        """Return whether she has just sent an event of this id; notes when that is not sure."""
        if event.type == "settings":
            return False
        found = note(self.state.recent, event.user_id, event.event_id)
        event.doubtful = found == "doubtful"
        return found == "repeated"

    # --- what was decided -----------------------------------------------------------------------

    def decision(self, offset: int, at: int, header: bytes | None, value: bytes) -> None:
        """Take a record of ``decisions``."""
        try:
            position, decision = reading.position(header), reading.decision(value)
        except reading.Unreadable:
            self.unreadable += 1
            return
        if position is None:
            self.unreadable += 1
        else:
            self.decisions.records.append(Taken(offset, at, position, decision))

    def action(
        self, channel: str, offset: int, at: int, header: bytes | None, value: bytes
    ) -> None:
        """Take a record of ``actions.<channel>``."""
        try:
            position, action = reading.position(header), reading.action(value)
        except reading.Unreadable:
            self.unreadable += 1
            return
        self.actions[channel].records.append(Taken(offset, at, position, action))

    def fresh(self, topic: str, position: Position | None) -> bool:
        """Apply the readers' rule to a record that is to be judged; one without position passes.

        Not earlier: what waits is read again after a start, and must not look like a repetition.
        """
        fresh = position is None or self.state.above(topic, position)
        self.repeated += not fresh
        return fresh

    # --- how far --------------------------------------------------------------------------------

    @property
    def wanted(self) -> int:
        """Return the offset of ``events`` up to which records are wanted now; -1 = none."""
        waiting = self.decisions.records
        position = waiting[0].position if waiting else None
        return position.offset if position is not None else -1

    def hungry(self, topic: str) -> bool:
        """Return whether more of a topic (without prefix) may be read into memory."""
        if topic == "events":
            behind = self.state.after.get("events", 0) < self.wanted
            return behind or len(self.events) < MOST_EVENTS
        waiting: Waiting[Decision] | Waiting[Action] = (
            self.decisions if topic == "decisions" else self.actions[topic.removeprefix("actions.")]
        )
        return len(waiting.records) < MOST_OTHERS

    @property
    def settled(self) -> int:
        """Return the offset of ``events`` before which everything decided is in our hands."""
        settled = max(self.state.decided, self.wanted)
        ticks = self.state.ticks
        if len(ticks) == _PROOF and len({origin for _, origin in ticks}) == 1:
            settled = max(settled, ticks[0][0])
        return settled
