"""From records of topics to the small facts figures are folded from; no person leaves here."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

from engine import decisions
from engine.errors import InvalidEvent, Refused
from engine.events import (
    CartViewed,
    CheckoutStarted,
    Event,
    Line,
    OrderCompleted,
    Outcome,
    Position,
    ProductAdded,
    ProductViewed,
    SettingsRecord,
    Tick,
)
from engine.times import from_iso
from monitoring.figures import seen as facts
from monitoring.figures.acquisition import Origins
from monitoring.figures.seen import Seen, hashed
from rules import campaigns
from streams import sources
from streams.log import codec
from streams.observing.messages import VerdictMessage, read
from streams.sources.reasons import Notes
from streams.sources.values import mapping, text

Read = Callable[[ConsumerRecord, int], list[Seen]]
_NOWHERE: Final = Position("", 0, 0, 0)
_BY_HER: Final = frozenset({"opened", "clicked"})


class _Beside(Struct):
    """What the engine does not need of a message, and the figures do."""

    context: Any = None
    properties: Any = None


_beside = msgspec.json.Decoder(_Beside).decode


def of_source(topic: str, dialect: str, origins: Origins, *, dated: bool = False) -> Read:
    """Return the reader of a topic of the apps; outcomes that apps tell are among its facts.

    ``dated``, here and below: records carry the time at which they count; what a reader is told
    is for those that do not.
    """
    parse = sources.parser(dialect, source_clock=dated, notes=Notes())

    def read_message(record: ConsumerRecord, at: int) -> list[Seen]:
        value = record.value or b""
        try:
            events = parse(value, _NOWHERE, at)
        except InvalidEvent:
            return [facts.Unreadable(at, topic)]
        if dated and events:
            at = events[0].received_at
        found: list[Seen] = [_message(topic, value, events, at, origins)]
        found += [_report(one, at, "") for one in events if isinstance(one, Outcome)]
        return found

    return read_message


def _message(
    topic: str, value: bytes, events: list[Event], at: int, origins: Origins
) -> facts.Message:
    context, properties = _context(value)
    views = adds = checkouts = 0
    step, order = facts.VISIT, None
    for event in events:
        match event:
            case ProductViewed():
                views, step = views + 1, max(step, facts.PRODUCT)
            case ProductAdded():
                adds, step = adds + 1, max(step, facts.CART)
            case CartViewed():
                step = max(step, facts.CART)
            case CheckoutStarted():
                checkouts, step = checkouts + 1, max(step, facts.CHECKOUT)
            case OrderCompleted():
                step, order = facts.PURCHASE, _order(event, properties)
    user = next((hashed(one.user_id) for one in events if _came(one)), 0)
    return facts.Message(
        at=at,
        topic=topic,
        user=user,
        acquisition=_acquisition(context, origins),
        step=step,
        views=views,
        adds=adds,
        checkouts=checkouts,
        order=order,
    )


def _came(event: Event) -> bool:
    """Return whether somebody did something; that her message was delivered is a machine's word."""
    return not isinstance(event, Outcome) or event.outcome in _BY_HER


def _context(value: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        beside = _beside(value)
    except msgspec.DecodeError:  # lenient JSON: what stands beside it is not worth a second look
        return {}, {}
    return mapping(beside.context), mapping(beside.properties)


def _acquisition(context: dict[str, Any], origins: Origins) -> str:
    if not context:
        return ""
    campaign, page = mapping(context.get("campaign")), mapping(context.get("page"))
    referrer = text(page.get("referrer")) or text(mapping(context.get("referrer")).get("url"))
    source, medium = text(campaign.get("source")), text(campaign.get("medium"))
    return origins.name(source, medium, _host(referrer)) if source or medium or referrer else ""


def _host(url: str) -> str:
    try:
        return urlsplit(url if "//" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""


def _order(event: OrderCompleted, properties: dict[str, Any]) -> facts.Order:
    categories = _categories(properties)
    lines = tuple(
        facts.Sold(
            line.product_id,
            line.name,
            categories.get(line.product_id, ""),
            line.quantity,
            line.price * line.quantity if line.price is not None else None,
        )
        for line in event.lines
    )
    value = event.total if event.total is not None else _sum(event.lines)
    order = hashed(f"{event.user_id}|{event.order_id}")
    return facts.Order(order, event.occurred_at, value, event.currency, lines)


def _sum(lines: list[Line]) -> float | None:
    prices = [line.price for line in lines]
    if not lines or None in prices:
        return None
    return sum((line.price or 0.0) * line.quantity for line in lines)


def _categories(properties: dict[str, Any]) -> dict[str, str]:
    """Return the category of each product of an order that tells one."""
    products = properties.get("products")
    found = {}
    for product in products if isinstance(products, list) else ():
        told = mapping(product)
        name = text(told.get("product_id") or told.get("sku") or told.get("id"))
        category = text(told.get("category"))
        if name and category:
            found[name] = category
    return found


# --- feedback -----------------------------------------------------------------------------------


class _Carrier(Struct):
    provider: Any = None


_carrier = msgspec.json.Decoder(_Carrier).decode


def of_feedback(*, dated: bool = False) -> Read:
    """Return the reader of ``feedback``; a report nobody can read tells nothing."""
    parse = sources.parser(sources.FEEDBACK, source_clock=dated, notes=Notes())

    def read_report(record: ConsumerRecord, at: int) -> list[Seen]:
        value = record.value or b""
        try:
            events = parse(value, _NOWHERE, at)
        except InvalidEvent:
            return []
        try:
            provider = text(_carrier(value).provider)
        except msgspec.DecodeError:
            provider = ""
        if dated and events:
            at = events[0].received_at
        return [_report(one, at, provider) for one in events if isinstance(one, Outcome)]

    return read_report


def _report(event: Outcome, at: int, provider: str) -> facts.Reported:
    return facts.Reported(
        at=at,
        action=hashed(event.action_id),
        channel=event.channel,
        provider=provider,
        type=event.outcome,
        occurred_at=event.occurred_at,
        permanent=event.permanent,
        machine=event.machine,
    )


# --- decisions ----------------------------------------------------------------------------------


def of_decisions(*, dated: bool = False) -> Read:
    """Return the reader of ``decisions``."""

    def read_decision(record: ConsumerRecord, at: int) -> list[Seen]:
        decision = decision_of(record)
        try:
            if decision is None:
                return []
            return [_decided(decision, from_iso(decision.at) if dated else at)]
        except ValueError:  # a time nobody can read: what another wrote must not stop the figures
            return []

    return read_decision


def decision_of(record: ConsumerRecord) -> decisions.Decision | None:
    """Return the decision of a record; None for what nobody can read."""
    try:
        return decisions.decode(record.value or b"")
    except msgspec.MsgspecError:
        return None


def _decided(decision: decisions.Decision, at: int) -> facts.Decided:
    views = decision.channels
    view = views.get(decision.channel or "")
    scored = [one.p0 for one in ([view] if view else [*views.values()]) if one.p0 is not None]
    return facts.Decided(
        at=at,
        decision=hashed(decision.decision_id),
        user=hashed(decision.user_id),
        action=hashed(decision.action_id) if decision.action_id else 0,
        campaign=decision.campaign,
        channel=decision.channel or "",
        outcome=decision.outcome,
        reason=decision.reason,
        decided_at=from_iso(decision.at),
        due_at=from_iso(decision.trigger.due_at),
        first=decision.attempt == 0 and decision.outcome != "disarm",
        tester=decision.tester,
        p0=scored[0] if scored else None,
        features=dict(decision.features),
        schema=decision.schema_hash,
    )


# --- settings and verdicts ----------------------------------------------------------------------


def of_settings(files: Mapping[str, bytes], *, dated: bool = False) -> Read:
    """Return the reader of one partition of ``events``, where every settings record passes.

    ``files``: artefacts by hash; one that has not arrived raises KeyError, to be tried again. A
    ``dated`` one counts at the tick before it: it carries no time of the data.
    """
    ticked = 0

    def read_settings(record: ConsumerRecord, at: int) -> list[Seen]:
        nonlocal ticked
        begin = (record.value or b"")[:40]
        ticks = dated and b'"tick"' in begin
        if not ticks and b'"settings"' not in begin:
            return []
        try:
            event = codec.read(record.value or b"")
        except InvalidEvent:
            return []
        if isinstance(event, Tick):
            ticked = max(ticked, event.now)
        if not isinstance(event, SettingsRecord):
            return []
        return [facts.Ruled(ticked or at, event, terms_of(event, files))]

    return read_settings


def terms_of(record: SettingsRecord, files: Mapping[str, bytes]) -> facts.Terms | None:
    """Return what the campaigns file a record names says; None = it names none we can read.

    Raises KeyError while the file has not arrived.
    """
    if record.campaigns is None:
        return None
    try:
        policy = campaigns.load(files[record.campaigns], record.campaigns[:8])
    except Refused:
        return None
    return facts.Terms(
        policy.currency,
        {name: channel.cost for name, channel in policy.channels.items()},
        {name: campaign.conversion_window for name, campaign in policy.campaigns.items()},
    )


def of_anomalies() -> Read:
    """Return the reader of our own topic: operators' verdicts. What we said ourselves is known."""

    def read_verdict(record: ConsumerRecord, at: int) -> list[Seen]:
        message = read(record.value or b"")
        if not isinstance(message, VerdictMessage):
            return []
        return [facts.Judged(at, message.anomaly_id, message.verdict, message.by, message.note)]

    return read_verdict


__all__ = [
    "Read",
    "decision_of",
    "of_anomalies",
    "of_decisions",
    "of_feedback",
    "of_settings",
    "of_source",
    "terms_of",
]
