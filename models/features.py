"""The registry of features and the one function that reads them, for serving and for training.

A vector is a list of float64 in the order of :data:`REGISTRY`; NaN = missing. Only + - x / and
:func:`engine.decay.decayed`, rounded to 1e-9: equal bits on every machine.

No future information: whatever lies after ``case.now`` is not read. What the profile keeps as a sum
cannot be taken apart again, so a feature is missing when anything it rests on was folded later
than ``now`` (in the pipeline only by the skew of two clocks; a tick folds nothing after itself).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import nan
from typing import Final, Literal

import orjson

from engine.decay import decayed
from engine.ports import Case
from engine.profile import (
    BINS,
    COUNTED,
    LONG_HALF_LIFE,
    PROOFS,
    REFUSALS,
    SHORT_HALF_LIFE,
    Cart,
    Send,
)
from engine.sends import fatigue
from engine.times import DAY, SECOND
from engine.triggers import LocalTime

_WEEK: Final = 7 * DAY
_DIGITS: Final = 9
# A send younger than this has not been ignored yet: she may not have looked.
_PATIENCE: Final = DAY
_CLOSED: Final = frozenset({"complained", "unsubscribed"})

# Codes of the feature ``channel``. A channel of the operator's own is "other": the model knows that
# something was sent, not what. Codes are part of the schema: add at the end, raise the version.
CHANNELS: Final[Mapping[str | None, int]] = {None: 0, "push": 1, "email": 2, "sms": 3}
OTHER_CHANNEL: Final = 4

Dtype = Literal["real", "integer", "flag", "code"]
# What a feature rests on: what she did, what was said to her, or the question itself.
Source = Literal["life", "sends", "case"]


class _Facts:
    """One case, and what several features share: worked out once, in the order of the profile."""

    __slots__ = (
        "cart",
        "cart_value",
        "case",
        "channel",
        "charged",
        "completed",
        "gap",
        "held",
        "hour",
        "local",
        "long_fade",
        "now",
        "profile",
        "short_fade",
        "spoken",
        "standing",
        "totals",
        "units",
    )

    def __init__(self, case: Case, channel: str | None, local: LocalTime) -> None:
        self.case, self.channel, self.local = case, channel, local
        self.profile, self.now = case.profile, case.now
        self.hour = self._hour()
        since_counted = self.now - self.profile.counters.at
        self.short_fade = decayed(1.0, since_counted, SHORT_HALF_LIFE)
        self.long_fade = decayed(1.0, since_counted, LONG_HALF_LIFE)
        self._read_carts()
        self._read_orders()
        # newest first: what was charged to the caps, and what was meant to reach her
        self.charged = [send for send in reversed(self.profile.sends) if send.charged]
        self.spoken = [send for send in reversed(self.profile.sends) if not send.withheld]

    def _hour(self) -> int | None:
        """Return the hour where she is; None when her zone was told, or erased, later."""
        if max(self.profile.zones_at, self.profile.erased_at) > self.now:
            return None
        return self.local.hour(self.profile.zones, self.case.policy.timezone, self.now)

    def _read_carts(self) -> None:
        """Take the trigger's cart, else the open cart changed last."""
        self.cart: Cart | None = self.profile.cart(self.case.trigger.key)
        self.held = self.cart.held() if self.cart is not None else []
        if not self.held:
            open_ones = [cart for cart in self.profile.carts if cart.held()]
            self.cart = max(open_ones, key=_changed, default=None)
            self.held = self.cart.held() if self.cart is not None else []
        self.units = [line.quantity for line in self.held]
        self.cart_value = self.cart.value(self.case.policy.currency) if self.cart else None

    def _read_orders(self) -> None:
        """Tell the orders that were completed from those that stand, oldest first."""
        ours = ("", self.case.policy.currency)
        self.completed = [order for order in self.profile.orders if order.at]
        self.standing = [order for order in self.completed if order.stands]
        self.totals = [
            order.total
            for order in self.standing
            if order.total is not None and order.currency in ours
        ]
        gaps = len(self.standing) - 1
        self.gap = (self.standing[-1].at - self.standing[0].at) / gaps if gaps > 0 else None

    def since(self, at: int) -> float | None:
        """Return the seconds since ``at``; None when it never was."""
        return (self.now - at) / SECOND if at else None


def _changed(cart: Cart) -> tuple[int, str]:
    return cart.changed_at, cart.cart_id


def _spoilt(case: Case) -> tuple[Source, ...]:
    """Return which sources the profile has gone on from after ``now``."""
    profile, now = case.profile, case.now
    spoilt: tuple[Source, ...] = ()
    if profile.last_seen > now or profile.erased_at > now:
        spoilt = (*spoilt, "life")
    if profile.erased_at > now or any(_reported_by(send) > now for send in profile.sends):
        spoilt = (*spoilt, "sends")
    return spoilt


@dataclass(frozen=True, slots=True)
class Feature:
    """One column. ``default`` is its value for a person we know nothing of; None = missing.

    ``version`` counts changes of the transform; ``source`` says what a later event would spoil.
    """

    name: str
    unit: str
    dtype: Dtype
    default: float | None
    version: int
    source: Source
    meaning: str
    read: Callable[[_Facts], float | None]


# --- what she did -------------------------------------------------------------------------------


def _counter(what: str, half_life: int) -> Callable[[_Facts], float]:
    """Return the reader of one decayed counter, brought to ``now``."""
    place, short = COUNTED.index(what), half_life == SHORT_HALF_LIFE

    def read(facts: _Facts) -> float:
        counters = facts.profile.counters
        if short:
            return counters.short[place] * facts.short_fade
        return counters.long[place] * facts.long_fade

    return read


def _since_order(facts: _Facts) -> float | None:
    return facts.since(facts.standing[-1].at) if facts.standing else None


def _cart_top_share(facts: _Facts) -> float | None:
    if facts.cart_value is None:
        return None
    worths = [(line.price or 0.0) * n for line, n in zip(facts.held, facts.units, strict=True)]
    return max(worths) / facts.cart_value


def _cart_age(facts: _Facts) -> float | None:
    return facts.since(min((line.changes[0][0] for line in facts.held), default=0))


def _cart_silence(facts: _Facts) -> float | None:
    return facts.since(facts.cart.changed_at) if facts.cart else None


def _cart_checkout(facts: _Facts) -> float | None:
    return float(bool(facts.cart.checkout_id)) if facts.cart else None


def _order_mean(facts: _Facts) -> float | None:
    return sum(facts.totals) / len(facts.totals) if facts.totals else None


def _order_last(facts: _Facts) -> float | None:
    return facts.totals[-1] if facts.totals else None


def _order_gap(facts: _Facts) -> float | None:
    return None if facts.gap is None else facts.gap / SECOND


def _silence_over_gap(facts: _Facts) -> float | None:
    return (facts.now - facts.standing[-1].at) / facts.gap if facts.gap else None


def _refund_share(facts: _Facts) -> float | None:
    if not facts.completed:
        return None
    returned = [
        order
        for order in facts.completed
        if not order.stands or order.refunded_total or order.refunded_lines
    ]
    return len(returned) / len(facts.completed)


def _since_delivery(facts: _Facts) -> float | None:
    order = facts.profile.order(facts.case.trigger.key)
    return facts.since(order.delivered_at) if order else None


def _engaged(channel: str) -> Callable[[_Facts], float | None]:
    """Return the reader of one channel's share of opens and clicks in the bin of ``now``."""

    def read(facts: _Facts) -> float | None:
        bins = facts.profile.engagement.get(channel)
        if not bins or facts.hour is None:
            return None
        # One more in every bin: a single open at noon must not read as "only ever at noon".
        return (bins[facts.hour * BINS // 24] + 1) / (sum(bins) + BINS)

    return read


# --- what was said to her -----------------------------------------------------------------------


def _reported_by(send: Send) -> int:
    """Return the latest ms at which the newest report about a send may have happened.

    The log keeps reports in whole seconds, rounded down.
    """
    if not send.outcomes:
        return send.at
    return send.at + (max(send.outcomes.values()) + 1) * SECOND - 1


def _since_send(facts: _Facts) -> float | None:
    """Read the newest charge; withheld ones included, as in :func:`_sends`."""
    return facts.since(facts.charged[0].at) if facts.charged else None


def _since_engaged(facts: _Facts) -> float | None:
    times = [
        send.at + send.outcomes[kind] * SECOND
        for send in facts.spoken
        for kind in ("opened", "clicked")
        if kind in send.outcomes
    ]
    return facts.since(max(times, default=0))


def _sends(window: int, channel: str | None = None) -> Callable[[_Facts], float | None]:
    """Return the reader of the charges in a window, counted as the caps count them.

    Withheld ones included: a person of the holdout must look to the model as she would have if she
    had been spoken to, so that "would have been sent" is the same choice in both groups.
    """

    def read(facts: _Facts) -> float | None:
        if facts.case.policy.longest_window < window:
            return None  # the profile does not remember sends that long
        since = facts.now - window
        return sum(send.at > since and channel in (None, send.channel) for send in facts.charged)

    return read


def _ignored_in_a_row(facts: _Facts) -> float:
    ignored = 0
    for send in facts.spoken:
        if not send.outcomes.keys().isdisjoint(("opened", "clicked")):
            break
        reached_her = not send.outcomes.keys().isdisjoint(PROOFS)
        ignored += reached_her and facts.now - send.at >= _PATIENCE
    return ignored


def _last_outcome(facts: _Facts) -> float | None:
    """Return how well the newest send was received, from -1 (complained) to 4 (clicked)."""
    if not facts.spoken:
        return None
    told = facts.spoken[0].outcomes.keys()
    if told & _CLOSED:
        return -1
    if "clicked" in told:
        return 4
    if "opened" in told:
        return 3
    if told & REFUSALS or "bounced" in told:
        return 0
    return 2 if told & PROOFS else 1


# --- the question itself ------------------------------------------------------------------------


def _weekday(facts: _Facts) -> float | None:
    if facts.hour is None:
        return None
    return facts.local.weekday(facts.profile.zones, facts.case.policy.timezone, facts.now)


def _is(kind: str) -> Callable[[_Facts], float]:
    """Return the reader of one trigger kind's flag; another kind has all flags at 0."""
    return lambda facts: float(facts.case.trigger.kind == kind)


def _locale_zh(facts: _Facts) -> float | None:
    profile = facts.profile
    if not profile.locale or profile.locale_at > facts.now:
        return None
    return float(profile.locale.lower().startswith("zh"))


def channel_code(channel: str | None) -> float:
    """Return the value of the feature ``channel`` for what was sent; None = nothing."""
    return float(CHANNELS.get(channel, OTHER_CHANNEL))


# --- the registry -------------------------------------------------------------------------------

_LIFE: Final = (
    Feature(
        "since_seen_s", "s", "real", None, 1, "life",
        "time since her last sign of life",
        lambda facts: facts.since(facts.profile.last_seen),
    ),
    Feature(
        "tenure_s", "s", "real", None, 1, "life",
        "time since her first sign of life",
        lambda facts: facts.since(facts.profile.first_seen),
    ),
    Feature(
        "since_order_s", "s", "real", None, 1, "life",
        "time since her newest order that stands", _since_order,
    ),
    Feature(
        "views_1d", "count", "real", 0.0, 1, "life",
        "product views and wishes, half-life 1 d", _counter("views", SHORT_HALF_LIFE),
    ),
    Feature(
        "views_30d", "count", "real", 0.0, 1, "life",
        "product views and wishes, half-life 30 d", _counter("views", LONG_HALF_LIFE),
    ),
    Feature(
        "adds_1d", "count", "real", 0.0, 1, "life",
        "products put into carts, half-life 1 d", _counter("adds", SHORT_HALF_LIFE),
    ),
    Feature(
        "adds_30d", "count", "real", 0.0, 1, "life",
        "products put into carts, half-life 30 d", _counter("adds", LONG_HALF_LIFE),
    ),
    Feature(
        "searches_1d", "count", "real", 0.0, 1, "life",
        "searches, half-life 1 d", _counter("searches", SHORT_HALF_LIFE),
    ),
    Feature(
        "orders_30d", "count", "real", 0.0, 1, "life",
        "orders, half-life 30 d", _counter("orders", LONG_HALF_LIFE),
    ),
    Feature(
        "cart_value", "currency", "real", None, 1, "life",
        "worth of the trigger's cart, else of the open cart changed last; missing without prices",
        lambda facts: facts.cart_value,
    ),
    Feature(
        "cart_units", "count", "integer", 0.0, 1, "life",
        "units in that cart", lambda facts: sum(facts.units),
    ),
    Feature(
        "cart_products", "count", "integer", 0.0, 1, "life",
        "different products in that cart", lambda facts: len(facts.held),
    ),
    Feature(
        "cart_top_share", "share", "real", None, 1, "life",
        "share of that cart's worth in its dearest line", _cart_top_share,
    ),
    Feature(
        "cart_age_s", "s", "real", None, 1, "life",
        "time since the first remembered change of that cart", _cart_age,
    ),
    Feature(
        "cart_silence_s", "s", "real", None, 1, "life",
        "time since the last change of that cart", _cart_silence,
    ),
    Feature(
        "cart_checkout", "flag", "flag", None, 1, "life",
        "whether she began to pay for that cart", _cart_checkout,
    ),
    Feature(
        "orders_known", "count", "integer", 0.0, 1, "life",
        "remembered orders that were completed, at most 16", lambda facts: len(facts.completed),
    ),
    Feature(
        "order_mean_value", "currency", "real", None, 1, "life",
        "mean value of the remembered orders that stand", _order_mean,
    ),
    Feature(
        "order_last_value", "currency", "real", None, 1, "life",
        "value of the newest order that stands", _order_last,
    ),
    Feature(
        "order_gap_s", "s", "real", None, 1, "life",
        "mean time between her orders that stand", _order_gap,
    ),
    Feature(
        "silence_over_gap", "ratio", "real", None, 1, "life",
        "time since her newest order over her own mean gap", _silence_over_gap,
    ),
    Feature(
        "refund_share", "share", "real", None, 1, "life",
        "share of her remembered orders cancelled or refunded, in part or wholly", _refund_share,
    ),
    Feature(
        "since_delivery_s", "s", "real", None, 1, "life",
        "time since the trigger's order was delivered", _since_delivery,
    ),
    Feature(
        "engaged_push", "share", "real", None, 1, "life",
        "smoothed share of her opens of pushes in this four-hour bin", _engaged("push"),
    ),
    Feature(
        "engaged_email", "share", "real", None, 1, "life",
        "smoothed share of her opens of e-mails in this four-hour bin", _engaged("email"),
    ),
    Feature(
        "engaged_sms", "share", "real", None, 1, "life",
        "smoothed share of her clicks in SMS in this four-hour bin", _engaged("sms"),
    ),
)  # fmt: skip

_SENDS: Final = (
    Feature(
        "since_send_s", "s", "real", None, 1, "sends",
        "time since the last charge to the caps", _since_send,
    ),
    Feature(
        "since_engaged_s", "s", "real", None, 1, "sends",
        "time since a remembered message was last opened or clicked", _since_engaged,
    ),
    Feature(
        "sends_24h", "count", "integer", 0.0, 1, "sends",
        "charges to the caps in 24 h, any channel", _sends(DAY),
    ),
    Feature(
        "push_7d", "count", "integer", 0.0, 1, "sends",
        "charges to the caps in 7 d, push", _sends(_WEEK, "push"),
    ),
    Feature(
        "email_7d", "count", "integer", 0.0, 1, "sends",
        "charges to the caps in 7 d, e-mail", _sends(_WEEK, "email"),
    ),
    Feature(
        "sms_7d", "count", "integer", 0.0, 1, "sends",
        "charges to the caps in 7 d, SMS", _sends(_WEEK, "sms"),
    ),
    Feature(
        "fatigue", "count", "real", 0.0, 1, "sends",
        "F: all charges, half-life 7 d",
        lambda facts: fatigue(facts.profile, facts.now),
    ),
    Feature(
        "ignored_in_a_row", "count", "integer", 0.0, 1, "sends",
        "messages in a row handed over at least 24 h ago and not opened", _ignored_in_a_row,
    ),
    Feature(
        "last_outcome", "code", "code", None, 1, "sends",
        "of the newest message: -1 complained, 0 refused, 1 nothing told, 2 handed over, 3 opened, "
        "4 clicked", _last_outcome,
    ),
)  # fmt: skip

_CASE: Final = (
    Feature(
        "local_hour", "hour", "integer", None, 1, "case",
        "hour of the day where she is", lambda facts: facts.hour,
    ),
    Feature(
        "weekday", "day", "integer", None, 1, "case",
        "day of the week where she is, Monday 0", _weekday,
    ),
    Feature(
        "is_cart", "flag", "flag", 0.0, 1, "case",
        "whether an abandoned cart is the reason to speak", _is("cart_abandonment"),
    ),
    Feature(
        "is_day_7", "flag", "flag", 0.0, 1, "case",
        "whether day 7 after an order is the reason to speak", _is("post_purchase_7d"),
    ),
    Feature(
        "is_day_30", "flag", "flag", 0.0, 1, "case",
        "whether day 30 after an order is the reason to speak", _is("post_purchase_30d"),
    ),
    Feature(
        "due_delay_s", "s", "real", None, 1, "case",
        "time since the trigger was due; negative inside the arbitration window",
        lambda facts: (facts.now - facts.case.trigger.due_at) / SECOND,
    ),
    Feature(
        "attempt", "count", "integer", 0.0, 1, "case",
        "decisions already made about this episode", lambda facts: facts.case.trigger.attempt,
    ),
    Feature(
        "window_s", "s", "real", None, 1, "case",
        "the campaign's conversion window: in what time an order would count",
        lambda facts: facts.case.campaign.conversion_window / SECOND,
    ),
    Feature(
        "locale_zh", "flag", "flag", None, 1, "case",
        "whether she reads Chinese", _locale_zh,
    ),
    Feature(
        "channel", "code", "code", 0.0, 1, "case",
        "what is sent: 0 nothing, 1 push, 2 e-mail, 3 SMS, 4 another channel",
        lambda facts: channel_code(facts.channel),
    ),
)  # fmt: skip

REGISTRY: Final = (*_LIFE, *_SENDS, *_CASE)
NAMES: Final = tuple(feature.name for feature in REGISTRY)
CHANNEL_AT: Final = NAMES.index("channel")

_READERS: Final = tuple(feature.read for feature in REGISTRY)
_AT: Final = {name: place for place, name in enumerate(NAMES)}


def _schema_hash() -> str:
    """Hash what a model must agree on; a reworded meaning does not make a model unusable."""
    columns = [[f.name, f.unit, f.dtype, f.default, f.version] for f in REGISTRY]
    return sha256(orjson.dumps(columns)).hexdigest()


SCHEMA_HASH: Final = _schema_hash()


# --- vectors ------------------------------------------------------------------------------------


def vector(case: Case, channel: str | None, local: LocalTime) -> list[float]:
    """Return the features of a case if ``channel`` were used (None = nothing is sent).

    Pure; the profile is not changed. Order of :data:`REGISTRY`, NaN = missing.
    """
    facts, spoilt = _Facts(case, channel, local), _spoilt(case)
    if not spoilt:
        return [_rounded(read(facts)) for read in _READERS]
    return [nan if f.source in spoilt else _rounded(f.read(facts)) for f in REGISTRY]


def _rounded(value: float | None) -> float:
    if value is None:
        return nan
    # Most values are whole, and round() to digits costs a microsecond. + 0.0 turns -0.0 into 0.0:
    # equal values must give equal bytes in the record.
    whole = float(value)
    return whole + 0.0 if whole.is_integer() else round(whole, _DIGITS) + 0.0


def as_dict(values: Sequence[float]) -> dict[str, float | None]:
    """Return a vector by name for the record of a decision; missing = None."""
    # Only NaN differs from itself, and asking so costs half of isnan().
    return {
        name: value if value == value else None  # noqa: PLR0124 - see above
        for name, value in zip(NAMES, values, strict=True)
    }


def from_dict(features: Mapping[str, float | None]) -> list[float]:
    """Return the vector of a decision's record; raises ValueError if it is of another schema."""
    if features.keys() != _AT.keys():
        odd = sorted(features.keys() ^ _AT.keys())
        message = f"these features are not of this schema: {', '.join(odd)}"
        raise ValueError(message)
    logged = [features[name] for name in NAMES]
    return [nan if value is None else value for value in logged]
