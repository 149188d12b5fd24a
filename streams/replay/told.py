"""A replay's result as a person reads it, at 80 columns."""

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final, NamedTuple

from streams.replay.difference import GETS, NOTHING, Difference, Example
from streams.replay.preview import CampaignPreview, Preview
from streams.replay.run import Result
from streams.sentence import channel_name

WIDTH: Final = 80
# Ways in which fates changed that are listed; the rest is counted, and in the JSON.
_CHANGES: Final = 12
_ARROW: Final = " -> "

# Reasons that do not read well with their underscores taken out.
_SHORT: Final = {
    NOTHING: "not decided",
    "converted": "she bought before it was due",
    "emptied": "she emptied the cart",
    "superseded": "a newer reason took its place",
    "would_send_holdout": "holdout group",
    "explored_none": "silent by lot",
    "opted_out": "she took her consent back",
    "suppressed_address": "her address bounced for good",
    "not_in_segment": "not in the segment",
}


class Sides(NamedTuple):
    """What a person calls the two sides: the file asked about, and what it is compared with."""

    new: str
    old: str


_UNNAMED: Final = Sides("this file", "the other")


def told(result: Result, sides: Sides = _UNNAMED) -> Iterator[str]:
    """Yield the preview per campaign, the difference, and what was noticed on the way."""
    events = sum(result.report.events.values())
    median, p99 = result.profile_bytes
    yield from wrap(
        f"{events:,} events, {result.report.ticks:,} ticks, {result.profiles:,} profiles "
        f"({median} bytes at the median, {p99} at the 99th percentile)",
        WIDTH,
        subsequent_indent="  ",
    )
    for reason, count in sorted(result.report.skipped.items()):
        yield f"  skipped: {count:,} {reason}"
    for reason, count in sorted(result.unreadable.items()):
        yield f"  in the input: {count:,} {reason}"
    if not result.preview.campaigns:
        yield "nothing was armed: no campaigns were in force, or nothing reacted"
    for name, campaign in sorted(result.preview.campaigns.items()):
        yield from _campaign(name, campaign)
    if result.difference is not None:
        yield from _difference(result.difference, sides)
    for note in result.notes:
        yield from wrap(note, WIDTH)


def _campaign(name: str, campaign: CampaignPreview) -> Iterator[str]:
    yield f"\n{name}: {campaign.armed:,} armed, {campaign.due:,} due, {campaign.open:,} open"
    gets = _counts(campaign.would_get) or "nobody"
    cost = f", cost {campaign.cost:.2f} {campaign.currency}" if campaign.would_get else ""
    yield f"  would get:  {gets}{cost}"
    for word, counted in (("silenced", campaign.silenced), ("ended", campaign.ended)):
        if counted:
            yield from _hung(f"  {word + ':':11} ", _counts(counted))
    if campaign.deferred:
        yield from _hung("  held back:  ", f"{_counts(campaign.deferred)} (decided anew later)")


def _counts(counted: Counter[str]) -> str:
    ordered = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)


# --- what changes -------------------------------------------------------------------------------


def _difference(difference: Difference, sides: Sides) -> Iterator[str]:
    yield ""
    yield from wrap(f"What changes with {sides.new}, compared with {sides.old}:", WIDTH)
    if not difference.changed and not difference.retimed:
        yield f"nothing: all {difference.same:,} reasons to speak end as before"
        return
    yield ""
    yield from _table(_money_rows(difference))
    yield ""
    gained, lost = len(difference.gained), len(difference.lost)
    yield (
        f"people spoken to: {len(difference.before.people):,}{_ARROW}"
        f"{len(difference.after.people):,} ({gained:,} newly, {lost:,} no longer)"
    )
    yield from _reasons(difference)
    yield from _changes(difference)
    yield from _examples(difference.examples())
    yield ""
    yield from _closing(sides)


def _money_rows(difference: Difference) -> Iterator[list[str]]:
    """Yield the rows of the table: per campaign and together, each cell before -> after."""
    before, after = difference.before.campaigns, difference.after.campaigns
    names = sorted(before.keys() | after.keys())
    found = {c.currency for side in (before, after) for c in side.values() if c.currency}
    mixed = len(found) > 1
    unit = "" if mixed else "".join(f" {currency}" for currency in found)
    yield ["campaign", "messages", f"cost{unit}", f"assumed worth{unit}"]
    blank = CampaignPreview()
    for name in names:
        yield _row(name, before.get(name, blank), after.get(name, blank), told_unit=mixed)
    if len(names) > 1 and not mixed:  # sums of several currencies mean nothing
        yield _row("together", _sum(difference.before), _sum(difference.after), told_unit=False)


def _sum(preview: Preview) -> CampaignPreview:
    total = CampaignPreview()
    for campaign in preview.campaigns.values():
        total.would_get.update(campaign.would_get)
        total.cost += campaign.cost
        total.worth += campaign.worth
    return total


def _row(
    name: str, before: CampaignPreview, after: CampaignPreview, *, told_unit: bool
) -> list[str]:
    def amount(value: float, side: CampaignPreview) -> str:
        return f"{value:,.2f} {side.currency}".rstrip() if told_unit else f"{value:,.2f}"

    return [
        name,
        f"{before.messages:,}{_ARROW}{after.messages:,}",
        f"{amount(before.cost, before)}{_ARROW}{amount(after.cost, after)}",
        f"{amount(before.worth, before)}{_ARROW}{amount(after.worth, after)}",
    ]


def _table(rows: Iterator[list[str]]) -> Iterator[str]:
    """Yield rows under each other: the first column to the left, the others to the right."""
    cells = list(rows)
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    widths[0] = min(widths[0], max(8, WIDTH - sum(widths[1:]) - 2 * len(widths)))
    for name, *figures in cells:
        padded = [f"{cell:>{width}}" for cell, width in zip(figures, widths[1:], strict=True)]
        yield "  ".join([f"  {name[: widths[0]]:{widths[0]}}", *padded])


def _reasons(difference: Difference) -> Iterator[str]:
    """Yield how the reasons to speak ended, before and after, where the numbers differ."""
    differing = {
        fate: counts for fate, counts in difference.reasons.items() if counts[0] != counts[1]
    }
    if not differing:
        return
    yield ""
    yield "what became of the reasons to speak, where the number differs:"
    ordered = sorted(differing.items(), key=lambda entry: (entry[1][0] - entry[1][1], entry[0]))
    for fate, (before, after) in ordered:
        yield f"  {before:>7,}{_ARROW}{after:<7,}  {_fate(fate)}"


def _changes(difference: Difference) -> Iterator[str]:
    changed = difference.changed
    yield ""
    retimed = f" ({difference.retimed:,} of them at another time)" if difference.retimed else ""
    yield f"{difference.same:,} end as before{retimed}, {sum(changed.values()):,} otherwise:"
    for (campaign, before, after), count in list(changed.items())[:_CHANGES]:
        yield from _hung(f"  {count:>6,}  ", f"{campaign}: {_fate(before)}{_ARROW}{_fate(after)}")
    rest = list(changed.values())[_CHANGES:]
    if rest:
        yield f"  {sum(rest):>6,}  in {len(rest):,} other ways: --json has them all"


def _examples(examples: Sequence[Example]) -> Iterator[str]:
    if not examples:
        return
    yield ""
    yield "for example:"
    for example in examples:
        about = f" ({_about(example)})" if example.key else ""
        yield from _hung(
            "  ",
            f"{example.user_id}, {example.campaign}{about}: "
            f"{_fate(example.before)}{_ARROW}{_fate(example.after)}",
        )


def _about(example: Example) -> str:
    """Return what it was about: cart and order ids say themselves what they are, seldom."""
    kind = "cart" if example.kind == "cart_abandonment" else "order"
    return example.key if example.key.startswith(kind) else f"{kind} {example.key}"


def _closing(sides: Sides) -> Iterator[str]:
    yield from wrap(
        "Worth is assumed: what the engine expected when it decided, measured by nobody. What "
        "people do afterwards is what they did in the recorded log, whatever they are sent here.",
        WIDTH,
    )
    if sides.new.endswith(".toml"):
        yield from wrap(
            f"Next: rekindle campaigns check {sides.new}, then rekindle apply {sides.new}.", WIDTH
        )


def _fate(fate: str) -> str:
    if fate.startswith(GETS):
        return channel_name(fate.removeprefix(GETS))
    short = _SHORT.get(fate) or fate.replace("cap:", "cap ").replace("_", " ")
    return f"nothing ({short})"


def _hung(lead: str, text: str) -> list[str]:
    """Wrap a text whose later lines stand under its first word."""
    return wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
