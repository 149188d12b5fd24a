"""The business figures counted again, by their definitions and from everything at once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from engine.times import MINUTE
from monitoring.figures.seen import STEPS, Decided, Message, Order, Reported, Seen
from monitoring.figures.shop import Figures

Sums = dict[tuple[str, ...], float]
HALF_HOUR = 30 * MINUTE
HOUR = 60 * MINUTE


def recounted(facts: Sequence[Seen], *, window: int, until: int, price: float) -> Sums:
    """Count facts whose visits and windows are all over at ``until`` (ms)."""
    sums: Sums = defaultdict(float)
    messages = [one for one in facts if isinstance(one, Message)]
    _visits(messages, sums)
    orders = _orders(messages)
    for order in orders:
        sums["orders", order[2]] += 1
        sums["order_value", order[2]] += order[1].value or 0.0
    decisions = [one for one in facts if isinstance(one, Decided)]
    for decision in decisions:
        sums["decisions", decision.reason] += 1
        arm = {"sent": "treated", "would_send_holdout": "withheld"}.get(decision.reason)
        if arm is None:
            continue
        if arm == "treated":
            sums["sent", decision.channel] += 1
            sums["send_cost", decision.channel] += price
        start, end = decision.decided_at, decision.decided_at + window
        if end + HOUR < until:
            sums["arm", decision.channel, arm] += 1
            sums["arm_ordered", decision.channel, arm] += any(
                user == decision.user and start < order.occurred_at <= end
                for user, order, _ in orders
            )
    _revenue(decisions, orders, window, sums)
    _outcomes(decisions, [one for one in facts if isinstance(one, Reported)], sums)
    return {key: count for key, count in sums.items() if count}


def _visits(messages: Iterable[Message], sums: Sums) -> None:
    by_user: dict[int, list[Message]] = defaultdict(list)
    for message in messages:
        by_user[message.user].append(message)
    for theirs in by_user.values():
        visit: list[Message] = []
        for message in theirs:
            if visit and message.at - visit[-1].at > HALF_HOUR:
                _visit(visit, sums)
                visit = []
            visit.append(message)
        _visit(visit, sums)


def _visit(visit: Sequence[Message], sums: Sums) -> None:
    source = visit[0].acquisition or "direct"
    furthest = max(message.step for message in visit)
    sums["traffic", source] += len(visit)
    for step in range(furthest + 1):
        sums["funnel", source, STEPS[step]] += 1
    for step in range(min(furthest + 1, len(STEPS) - 1)):
        name = f"{STEPS[step]}-{STEPS[step + 1]}"
        sums["passed", source, name, "n"] += 1
        sums["passed", source, name, "k"] += furthest > step


def _orders(messages: Sequence[Message]) -> list[tuple[int, Order, str]]:
    """Return (user, order, source of its visit) of each order, as it was told first."""
    found: dict[int, tuple[int, Order, str]] = {}
    source: dict[int, tuple[int, str]] = {}
    for message in messages:
        last, name = source.get(message.user, (-HALF_HOUR - 1, ""))
        if message.at - last > HALF_HOUR:
            name = message.acquisition or "direct"
        source[message.user] = message.at, name
        if message.order is not None and message.order.id not in found:
            found[message.order.id] = message.user, message.order, name
    return list(found.values())


def _revenue(
    decisions: Sequence[Decided],
    orders: Iterable[tuple[int, Order, str]],
    window: int,
    sums: Sums,
) -> None:
    for user, order, _ in orders:
        before = [
            one
            for one in decisions
            if one.user == user and one.reason == "sent" and one.decided_at < order.occurred_at
        ]
        last = max(before, key=lambda one: one.decided_at, default=None)
        if last is not None and order.occurred_at <= last.decided_at + window:
            sums["converted", last.channel] += 1
            sums["revenue", last.channel] += order.value or 0.0


def _outcomes(decisions: Sequence[Decided], reports: Iterable[Reported], sums: Sums) -> None:
    channel = {one.action: one.channel for one in decisions if one.reason == "sent"}
    told = set()
    for report in reports:
        if report.action not in channel:
            sums["unmatched", report.channel] += 1
        elif (report.action, report.type) not in told:
            told.add((report.action, report.type))
            sums["outcomes", channel[report.action], report.provider, report.type] += 1


def folded(facts: Sequence[Seen], until: int, *, terms: Seen, cuts: Iterable[int] = ()) -> Sums:
    """Fold facts minute by minute up to ``until``; at ``cuts`` (minutes) go on from the state."""
    figures, sums, cuts = Figures(), defaultdict[tuple[str, ...], float](float), set(cuts)
    by_minute: dict[int, list[Seen]] = defaultdict(list)
    for fact in facts:
        by_minute[fact.at // MINUTE].append(fact)
    for minute in range(until // MINUTE):
        seen = [terms] if minute == 0 else []
        # As `in_order` has them: decisions, then messages, then outcomes.
        for kind in (Decided, Message, Reported):
            seen += [one for one in by_minute[minute] if isinstance(one, kind)]
        counts = figures.close((minute + 1) * MINUTE, seen, {})
        for key, count in counts.sums.items():
            sums[key] += count
        if minute in cuts:
            figures = Figures.restored(figures.state())
    return {key: count for key, count in sums.items() if count}
