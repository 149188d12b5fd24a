"""A report as a person reads it, in 80 columns."""

from collections import Counter
from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from engine.times import iso
from monitoring.effect import Effect, Group, Interval
from streams.reporting.campaigns import TOTAL, CampaignReport, Report

_WIDTH: Final = 80
_LABEL: Final = 16
_MINUS: Final = "\N{MINUS SIGN}"
_LEGEND: Final = (
    "A row is a message that was sent (treated) or would have been, to somebody of the holdout "
    "(withheld), and whose conversion window is over. Intervals are 95 %, and wider where one "
    "person stands for several rows. An order may count for several campaigns."
)


def told(report: Report) -> Iterator[str]:
    """Yield the report, line by line."""
    since = "its beginning" if report.since is None else iso(report.since)[:10]
    yield f"from {since} to {iso(report.until)[:16].replace('T', ' ')} UTC, by the log's own time"
    for name, one in report.campaigns.items():
        yield from _campaign(name, one)
    if len(report.campaigns) > 1:
        yield from _campaign(TOTAL, report.total)
    if not report.campaigns:
        yield ""
        yield "nothing was decided: no trigger became due or was ended"
        return
    yield ""
    yield from wrap(_LEGEND, _WIDTH)
    if report.uncertain:
        yield from wrap(
            f"{report.uncertain:,} decisions were made under settings the log no longer holds; "
            "another version of their campaigns file spoke for them.",
            _WIDTH,
        )


def _campaign(name: str, one: CampaignReport) -> Iterator[str]:
    yield ""
    yield from wrap(f"{name}: {_balance(one)}", _WIDTH, subsequent_indent="  ")
    if one.sent:
        yield from _row("sent", "; ".join(_sent(one)))
    for label, counted in (("silenced", one.silenced), ("ended", one.ended)):
        if counted:
            yield from _row(label, _counts(counted))
    if len(one.versions) > 1 and name != TOTAL:
        versions = ", ".join(str(version) for version in sorted(one.versions))
        yield from _row("versions", f"{versions} of the campaign together")
    left_out = list(_left_out(one))
    if left_out:
        yield from _row("left out", "; ".join(left_out))
    if one.closed:
        yield from _effect(one)


def _balance(one: CampaignReport) -> str:
    parts = [("sent", one.sent), ("silenced", one.silenced), ("ended", one.ended)]
    sums = " + ".join(f"{sum(counted.values()):,} {word}" for word, counted in parts)
    if one.open is not None:
        return f"{one.armed:,} armed = {sums} + {one.open:,} open"
    held = f"; {one.held:,} held back, still open" if one.held else ""
    return f"{one.closed:,} closed = {sums}{held}"


def _sent(one: CampaignReport) -> Iterator[str]:
    yield _counts(one.sent)
    proof = "delivered" if one.outcomes["delivered"] else "accepted"
    came = [f"{proof} {one.outcomes[proof]:,}", f"clicked {_people(one.clicked)}"]
    if one.refused:
        came.append(f"refused {one.refused:,}")
    if one.by_machine:
        came.append(f"opened by a machine {one.by_machine:,} (not counted)")
    came.append(f"left {_people(one.left)}")
    yield ", ".join(came)
    yield "cost " + (
        ", ".join(f"{cost:,.2f} {currency}" for currency, cost in sorted(one.cost.items()))
        or "nothing"
    )


def _left_out(one: CampaignReport) -> Iterator[str]:
    if one.testers:
        yield f"testers {one.testers:,}"
    if one.dry_run:
        yield f"decided in dry run {one.dry_run.total():,}: {_counts(one.dry_run)}"


# --- the effect ----------------------------------------------------------------------------------


def _effect(one: CampaignReport) -> Iterator[str]:
    found = one.effect
    if found.treated.rows or found.withheld.rows:
        groups = f"treated {_group(found.treated)}, withheld {_group(found.withheld)}"
        yield from _row("orders/1,000", groups + _waiting(one))
        yield from _row("difference", _difference(one, found))
    else:
        yield from _row("orders/1,000", f"nothing can be said yet: {_why_not(one)}")


def _why_not(one: CampaignReport) -> str:
    if one.open_windows:
        windows = "windows are" if one.open_windows > 1 else "window is"
        return f"{one.open_windows:,} conversion {windows} still open, none is over"
    if one.incomplete:
        return "the log no longer holds the orders that followed its decisions"
    return "nothing was sent, and nothing withheld"


def _waiting(one: CampaignReport) -> str:
    windows = "windows" if one.open_windows > 1 else "window"
    said = f"; {one.open_windows:,} {windows} still open" if one.open_windows else ""
    if one.incomplete:
        said += f"; {one.incomplete:,} left out, whose events the log no longer holds"
    return said


def _group(group: Group) -> str:
    if group.interval is None:
        return "none"
    rows = f"{group.rows:,} row{'' if group.rows == 1 else 's'}"
    if group.people < group.rows:
        rows += f" of {_people(group.people)}"
    low, high = (round(1000 * bound) for bound in group.interval)
    return f"{1000 * group.share:.0f} (95 % {low} to {high}; {rows})"


def _difference(one: CampaignReport, found: Effect) -> str:
    if found.estimate is None or found.interval is None:
        missing = "withheld" if not found.withheld.rows else "treated"
        why = ""
        if missing == "withheld" and all(share == 0 for share, _ in one.shares):
            why = ", and the campaigns file has no holdout"
        return f"nothing can be said: nothing {missing} has a closed window{why}{_plan(one)}"
    said = f"{_signed(found.estimate)} ({_span(found.interval)})"
    if found.told:
        more = found.interval.low > 0
        return (
            f"{said}: {'more' if more else 'FEWER'} orders where the message was sent{_mixed(one)}"
        )
    return f"{said}: nothing is known yet{_plan(one)}{_mixed(one)}"


def _plan(one: CampaignReport) -> str:
    """Say how many rows the assumed effect needs, and the observed one where those are fewer."""
    said, most = "", None
    for difference, word in ((one.assumed, "assumed"), (one.effect.estimate, "observed")):
        needed = None if difference is None else one.needed(difference)
        if needed is None or needed.rows is None or (most is not None and needed.rows >= most):
            continue
        effect = f"the {word} effect ({_signed(needed.difference)})"
        if needed.rows == 0:
            return f"{said}; {effect} would have shown by now, 4 times out of 5"
        days = "" if needed.days is None else f", {_days(needed.days)} at this pace"
        rows = "withheld rows " if most is None else ""
        said += f"; about {_about(needed.rows)} more {rows}would show {effect}{days}"
        most = needed.rows
    return said


def _mixed(one: CampaignReport) -> str:
    if len({share for share, _ in one.shares}) < 2:
        return ""
    return " (the holdout changed in this time, so the groups need not compare: narrow --since)"


# --- words ---------------------------------------------------------------------------------------


def _row(label: str, text: str) -> Iterator[str]:
    head = f"  {label}".ljust(_LABEL)
    yield from wrap(text, _WIDTH, initial_indent=head, subsequent_indent=" " * _LABEL)


def _counts(counted: Counter[str]) -> str:
    ordered = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)


def _people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def _signed(difference: float) -> str:
    """Return a difference per 1,000 with its sign; a decimal where it is small."""
    mille = 1000 * difference
    text = f"{abs(mille):.0f}" if abs(mille) >= 9.5 else f"{abs(mille):.1f}"
    return f"{_MINUS if mille < 0 else '+'}{text}"


def _span(interval: Interval) -> str:
    return f"{_signed(interval.low)} to {_signed(interval.high)}"


def _about(rows: int) -> str:
    """Return a count to two digits: a forecast is no better than that."""
    scale = 10 ** max(0, len(str(rows)) - 2)
    return f"{-(-rows // scale) * scale:,}"


def _days(days: int) -> str:
    if days < 100:
        return f"{days} day{'' if days == 1 else 's'}"
    return f"{round(days / 30)} months" if days < 730 else f"{round(days / 365)} years"


__all__ = ["told"]
