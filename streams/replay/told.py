"""A replay's result as a person reads it."""

from collections import Counter
from collections.abc import Iterator

from streams.replay.difference import Difference
from streams.replay.preview import CampaignPreview
from streams.replay.run import Result


def told(result: Result) -> Iterator[str]:
    """Yield the preview per campaign, the difference, and what was noticed on the way."""
    events = sum(result.report.events.values())
    median, p99 = result.profile_bytes
    yield (
        f"{events:,} events, {result.report.ticks:,} ticks, {result.profiles:,} profiles "
        f"({median} bytes at the median, {p99} at the 99th percentile)"
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
        yield from _difference(result.difference)
    yield from result.notes


def _campaign(name: str, campaign: CampaignPreview) -> Iterator[str]:
    yield f"\n{name}: {campaign.armed:,} armed, {campaign.due:,} due, {campaign.open:,} open"
    gets = _counts(campaign.would_get) or "nobody"
    cost = f", cost {campaign.cost:.2f} {campaign.currency}" if campaign.would_get else ""
    yield f"  would get:  {gets}{cost}"
    for word, counted in (("silenced", campaign.silenced), ("ended", campaign.ended)):
        if counted:
            yield f"  {word + ':':11} {_counts(counted)}"
    if campaign.deferred:
        yield f"  held back:  {_counts(campaign.deferred)} (decided anew later)"


def _difference(difference: Difference) -> Iterator[str]:
    found = difference.as_json()
    changed = sum(entry["people"] for entry in found["changed"])
    yield f"\nwith the other file: {found['same']:,} the same, {changed:,} different"
    for entry in found["changed"]:
        yield f"  {entry['people']:>6,}  {entry['campaign']}: {entry['before']} -> {entry['after']}"
    if found["examples"]:
        yield "examples:"
    for example in found["examples"]:
        about = f" ({example['key']})" if example["key"] else ""
        yield (
            f"  {example['user_id']}, {example['campaign']}{about}: "
            f"{example['before']} -> {example['after']}"
        )


def _counts(counted: Counter[str]) -> str:
    ordered = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)
