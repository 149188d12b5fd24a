"""What the log has told of one person up to a point: her words, her zones, what was charged.

Kept: consents and zones as long as she lives in the log, charges as long as a cap may count them
and at most :data:`MOST_CHARGES`. Repetitions change nothing: every fact is placed by its own time.
"""

from typing import Final

from msgspec import Struct

from monitoring.audit.reading import Event

# What an app says of her in passing; it never lifts a refusal of her own.
_IN_PASSING: Final = frozenset({"trait", "context"})
_REFUSALS: Final = frozenset({"rejected", "expired", "cancelled", "failed"})
_PROOFS: Final = frozenset({"accepted", "delivered", "opened", "clicked", "unknown"})
_WORDS: Final = frozenset({"complained", "unsubscribed", "resubscribed"})

MOST_CHARGES: Final = 512
_MOST_ERASURES: Final = 4


class Word(Struct, frozen=True, array_like=True, gc=False):
    """What was said about marketing on a channel, and when (ms)."""

    at: int
    granted: bool

    def later_than(self, other: "Word | None") -> bool:
        """Return whether it stands against another; of two at the same time, the refusal."""
        return other is None or (self.at, not self.granted) > (other.at, not other.granted)


class Charge(Struct, array_like=True):
    """One message that counts: ours, or another system's. ``dry``: of a dry run."""

    at: int
    channel: str
    action_id: str
    dry: bool = False
    refused: bool = False
    proven: bool = False

    @property
    def stands(self) -> bool:
        """Return whether it was not given back."""
        return self.proven or not self.refused


class Person(Struct, array_like=True):
    """One person. ``hers`` and ``said``: the last word by channel, ``*`` = every channel.

    ``touched_at`` is when an event that can change a cart last reached us, ``shopped_at`` the
    latest time of such an event by its own clock (ms). ``ordered_at`` and ``orders``: the latest
    time of an event about an order, and the last orders heard of.
    """

    hers: dict[str, Word] = {}
    said: dict[str, Word] = {}
    zones: list[str] = []
    zones_at: int = 0
    erased_at: int = 0
    erasures: list[str] = []
    charges: list[Charge] = []
    touched_at: int = 0
    shopped_at: int = 0
    ordered_at: int = 0
    orders: list[str] = []

    # --- hearing --------------------------------------------------------------------------------

    def hear(self, event: Event) -> bool:
        """Take one event as it lies in the log; False = it must be ignored: she is erased."""
        if event.type == "erased":
            self._erase(event)
            return True
        if self.erased_at:
            if event.type != "consent_changed" or not event.granted:
                return False
            if event.occurred_at <= self.erased_at:
                return False
            self.erased_at = 0
        match event.type:
            case "consent_changed":
                if event.purpose == "marketing":
                    self._word(event.channel or "*", event, granted=event.granted)
            case "identified":
                if event.zones is not None and event.occurred_at >= self.zones_at:
                    self.zones, self.zones_at = event.zones, event.occurred_at
            case "sent_elsewhere":
                self.charge(Charge(event.occurred_at, event.channel, event.event_id))
            case "outcome":
                self._outcome(event)
        return True

    def _erase(self, event: Event) -> None:
        if self.erased_at:
            self.erased_at = max(self.erased_at, event.occurred_at)
            return
        # Told twice it is one erasure: she may have come back in between.
        if event.event_id in self.erasures:
            return
        erasures = [*self.erasures, event.event_id][-_MOST_ERASURES:]
        blank = Person(erased_at=event.occurred_at, erasures=erasures)
        for field in self.__struct_fields__:
            setattr(self, field, getattr(blank, field))

    def _word(self, channel: str, event: Event, *, granted: bool) -> None:
        words = self.said if event.basis in _IN_PASSING else self.hers
        word = Word(event.occurred_at, granted)
        if word.later_than(words.get(channel)):
            words[channel] = word

    def _outcome(self, event: Event) -> None:
        for charge in self.charges:
            if charge.action_id == event.action_id:
                charge.refused |= event.outcome in _REFUSALS
                charge.proven |= event.outcome in _PROOFS
        if event.outcome in _WORDS:
            self._word(event.channel, event, granted=event.outcome == "resubscribed")

    # --- charging -------------------------------------------------------------------------------

    def charge(self, charge: Charge) -> None:
        """Count a message, once; the oldest of very many give way."""
        if self.charged(charge.action_id):
            return
        self.charges.append(charge)
        del self.charges[:-MOST_CHARGES]

    def charged(self, action_id: str) -> bool:
        """Return whether this message was counted already."""
        return any(charge.action_id == action_id for charge in self.charges)

    def forget_before(self, at: int) -> None:
        """Forget charges that no cap counts any more."""
        if self.charges and self.charges[0].at < at:
            self.charges = [charge for charge in self.charges if charge.at >= at]

    # --- asking ---------------------------------------------------------------------------------

    def spoke(self, channel: str) -> bool:
        """Return whether anything is known of what she allows on a channel."""
        if self.erased_at:
            return True
        return any(_last(words, channel) is not None for words in (self.hers, self.said))

    def agrees(self, channel: str) -> bool:
        """Return whether the word that counts for the channel is a yes; none is a no.

        Her own last word; what an app says in passing counts where she never spoke, or where it
        is a later refusal.
        """
        hers, said = _last(self.hers, channel), _last(self.said, channel)
        if hers is None or said is None:
            word = hers or said
            return word is not None and word.granted
        return hers.granted and (said.granted or said.at < hers.at)


def _last(words: dict[str, Word], channel: str) -> Word | None:
    own, all_of_them = words.get(channel), words.get("*")
    if own is None or all_of_them is None:
        return own or all_of_them
    return own if own.later_than(all_of_them) else all_of_them
