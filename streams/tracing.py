"""Traces of sampled events through all agents: taken in, folded, decided, handed over.

Off by default, and then OpenTelemetry is not even imported. The agents share nothing but what the
records say, so every id is drawn from that: the trace from the id of an event, which the trigger it
arms keeps as its episode, and each span from its trace and what it is. So whoever works on a record
knows its trace and the span it came from, and whoever repeats a work after a crash sends the same
span again. The draw is keyed and one-way: no id names an event or a person.

The value of a record is never touched. Only the header ``traceparent`` is added, to sampled events
and to their actions, which are otherwise the same to the last byte.
"""

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from engine.actions import Action
from engine.decisions import Decision
from engine.events import UserEvent

HEADER: Final = "traceparent"
Attributes = Mapping[str, str | int]

# The part of a trace id that W3C wants to be random, and that samplers look at.
_RANDOM: Final = (1 << 56) - 1


class Link(NamedTuple):
    """A trace and the span of it that comes before, as ``traceparent`` carries it."""

    trace: int
    span: int

    @property
    def header(self) -> tuple[str, bytes]:
        """Return the header of a sampled record."""
        return HEADER, f"00-{self.trace:032x}-{self.span:016x}-01".encode()


def link_of(headers: Iterable[tuple[str, bytes]]) -> Link | None:
    """Return what the header of a record says; None = not traced, or not in our words."""
    for name, value in headers:
        if name == HEADER:
            parts = value.decode("ascii", "replace").split("-")
            if len(parts) != 4 or parts[3] != "01":
                return None
            try:
                return Link(int(parts[1], 16), int(parts[2], 16))
            except ValueError:
                return None
    return None


class Span(NamedTuple):
    """One piece of work on one record; times in ns of the wall clock."""

    name: str
    trace: int
    span: int
    parent: int | None
    started: int
    ended: int
    attributes: Attributes


class Tracing:
    """Draws the ids and sends the spans of one process."""

    def __init__(
        self, send: Callable[[Span], object], share: float, prefix: str, clock: Callable[[], int]
    ) -> None:
        """``share`` of events is traced, 0 to 1; ``clock`` in ns; ``prefix`` keys the draws."""
        self.clock = clock
        self._send = send
        self._key = prefix.encode()[:64]
        self._below = int(share * (_RANDOM + 1))

    # --- who is in which trace ------------------------------------------------------------------

    def of_event(self, event: UserEvent) -> Link | None:
        """Return the trace and the intake span of an event; None = not sampled."""
        trace = self._sampled(event.event_id)
        return None if trace is None else Link(trace, self._span(trace, "intake"))

    def of_decision(self, decision: Decision) -> Link | None:
        """Return the trace of the event that armed a decision's trigger, and the decide span."""
        return self._decided(decision.trigger.episode, decision.decision_id)

    def of_action(self, action: Action) -> Link | None:
        """Return the trace and the decide span of an action: the same as its decision's."""
        return self._decided(action.trigger.episode, action.decision_id)

    def _decided(self, episode: str, decision: str) -> Link | None:
        trace = self._sampled(episode)
        return None if trace is None else Link(trace, self._span(trace, f"decide|{decision}"))

    def _sampled(self, event: str) -> int | None:
        drawn = int.from_bytes(self._draw(event, 16))
        return drawn if drawn & _RANDOM < self._below else None

    def _span(self, trace: int, what: str) -> int:
        return int.from_bytes(self._draw(f"{trace}|{what}", 8))

    def _draw(self, text: str, size: int) -> bytes:
        return blake2b(text.encode(), digest_size=size, key=self._key).digest()

    # --- the spans ------------------------------------------------------------------------------

    def took_in(self, link: Link, started: int, attributes: Attributes) -> None:
        """Tell of an event that stands in ``events`` now; the trace begins here."""
        self._tell("intake", link, None, started, attributes)

    def folded(self, before: Link, started: int, attributes: Attributes) -> None:
        """Tell of an event that is part of a profile now."""
        link = Link(before.trace, self._span(before.trace, "fold"))
        self._tell("fold", link, before.span, started, attributes)

    def decided(self, link: Link, started: int, attributes: Attributes) -> None:
        """Tell of a decision; it comes of the fold of the event that armed its trigger."""
        parent = self._span(link.trace, "fold")
        self._tell("decide", link, parent, started, attributes)

    def delivered(self, before: Link, started: int, attributes: Attributes) -> None:
        """Tell of an action that was taken up, whatever came of it."""
        link = Link(before.trace, self._span(before.trace, f"deliver|{before.span}"))
        self._tell("deliver", link, before.span, started, attributes)

    def _tell(
        self, name: str, link: Link, parent: int | None, started: int, attributes: Attributes
    ) -> None:
        ended = max(started, self.clock())
        self._send(Span(name, link.trace, link.span, parent, started, ended, attributes))


__all__ = ["HEADER", "Link", "Span", "Tracing", "link_of"]
