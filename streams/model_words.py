"""Models in words of 80 columns: the list, one model, two side by side."""

from collections.abc import Iterator, Mapping
from typing import Final

from engine.times import DAY, iso
from models.card import observed_to_expected
from models.manifest import Interval, Manifest, Metrics
from models.registry import Entry
from models.training.comparing import Comparison, Side

_LARGEST: Final = 5
_FIGURES: Final = {"auc": "AUC", "log_loss": "log-loss", "ece10": "ECE10"}
_TITLE: Final = 20
_COLUMN: Final = 24


def listed(entry: Entry, now: int) -> Iterator[str]:
    """Yield a model in two lines; ``now`` in ms tells its age."""
    manifest = entry.manifest
    blocked = "  BLOCKED" if manifest.blocked else ""
    rows = sum(manifest.rows.values())
    yield f"{_named(manifest)}  {entry.sha256[:12]}  {rows:,} rows{blocked}"
    yield f"  {manifest.provenance}, {lifetime(manifest, now)}, {_overall_auc(manifest)}"


def described(entry: Entry, now: int) -> Iterator[str]:
    """Yield what a person should know before trusting a model; ``now`` in ms tells its age."""
    manifest = entry.manifest
    yield from listed(entry, now)
    yield f"  kept in {entry.path}"
    yield f"  learned from {iso(manifest.window.first)} to {iso(manifest.window.last)}"
    yield f"  speaks about {', '.join(manifest.trigger_kinds)}; other triggers keep the prior"
    yield f"  rows {_counts(manifest.rows)}; left out {_counts(manifest.left_out) or 'none'}"
    if manifest.without:
        yield f"  was not shown {', '.join(manifest.without)}"
    yield from measures(manifest.metrics)
    for kind in manifest.trigger_kinds:
        yield from _trigger(manifest, kind)
    for warning in manifest.warnings:
        yield f"  warning: {warning}"
    for reason in manifest.blocked:
        yield f"  BLOCKED: {reason}"


def measures(metrics: Mapping[str, Metrics]) -> Iterator[str]:
    """Yield the figures in words, a line for each slice."""
    for slice_, figures in metrics.items():
        parts = [f"{figures.rows} rows", f"{figures.positives} orders"]
        for name in ("auc", "average_precision", "log_loss", "ece10"):
            interval = getattr(figures, name)
            if interval is not None:
                parts.append(f"{name} {_interval(interval)}")
        yield f"  {slice_}: {', '.join(parts)}"


def lifetime(manifest: Manifest, now: int) -> str:
    """Return how old a model is and how long it may still be applied."""
    made = f"made {_days(max(now - manifest.created_at, 0))} ago"
    left = manifest.expires_at - now
    if left < 0:
        return f"{made}, expired {_days(-left)} ago"
    return f"{made}, expires in {_days(left)}"


def recorded_by_both(first: Manifest, second: Manifest, now: int) -> Iterator[str]:
    """Yield two models side by side, as each was measured when it was trained."""
    for letter, manifest in (("A", first), ("B", second)):
        yield f"{letter}  {_named(manifest)}"
        yield f"   {manifest.provenance}, {lifetime(manifest, now)}"
        for reason in manifest.blocked:
            yield f"   BLOCKED: {reason}"
    yield ""
    yield "as recorded by each on its own newest fifth (these are not the same rows)"
    for slice_ in dict.fromkeys((*first.metrics, *second.metrics)):
        yield _line(slice_, "A", "B")
        both = first.metrics.get(slice_), second.metrics.get(slice_)
        yield _line("  rows", *(_count(m, "rows") for m in both))
        yield _line("  orders", *(_count(m, "positives") for m in both))
        for name, title in _FIGURES.items():
            yield _line(f"  {title}", *(_interval(getattr(m, name, None)) for m in both))
        yield _line("  observed/said", *(_interval(_ratio(m)) for m in both))


def on_the_same_rows(comparison: Comparison) -> Iterator[str]:
    """Yield what a comparison found, and its verdict last."""
    yield (
        f"on the same {comparison.rows:,} decisions without a message of {comparison.users:,} "
        "people,"
    )
    yield f"new to both ({', '.join(comparison.kinds)}); {comparison.positives:,} ordered"
    yield f"{'':<{_TITLE}}{'A':>10}{'B':>10}  {'B - A [95 %]':>28}"
    one, other = comparison.first, comparison.second
    for name, title in _FIGURES.items():
        apart = comparison.difference[name]
        interval = f"{apart.estimate:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}]"
        yield f"{_pair(title, one, other, name)}  {interval:>28}"
    yield _pair("mean p0", one, other, "mean_p0")
    if comparison.left_out:
        yield f"  left out: {_counts(comparison.left_out)}"
    yield comparison.verdict


def _trigger(manifest: Manifest, kind: str) -> Iterator[str]:
    calibration, ratio = manifest.calibration.get(kind), _ratio(manifest.metrics.get(kind))
    yield (
        f"  {kind}: calibration {'identity' if calibration is None else calibration.kind}, "
        f"orders for each expected {_interval(ratio)}"
    )
    important = manifest.importance.get(kind, {})
    largest = sorted(important.items(), key=lambda found: (-found[1], found[0]))[:_LARGEST]
    if largest:
        yield f"    leans on {', '.join(f'{name} {moved:.2f}' for name, moved in largest)}"
    for channel, lift in sorted(manifest.lifts.get(kind, {}).items()):
        yield (
            f"    {channel}: odds x {lift.odds_ratio:.2f} with a message, measured "
            f"{lift.estimate:.2f} [{lift.low:.2f}, {lift.high:.2f}]"
        )


def _named(manifest: Manifest) -> str:
    return f"{manifest.name}/{manifest.version}"


def _overall_auc(manifest: Manifest) -> str:
    overall = manifest.metrics.get("all")
    if overall is None or overall.auc is None:
        return "AUC not measured"
    return f"AUC {_interval(overall.auc)}"


def _days(ms: int) -> str:
    days = ms // DAY
    return "1 day" if days == 1 else f"{days} days"


def _line(title: str, *columns: str) -> str:
    return f"{title:<{_TITLE}}" + "".join(f"{column:>{_COLUMN}}" for column in columns)


def _pair(title: str, one: Side, other: Side, name: str) -> str:
    return f"{title:<{_TITLE}}{getattr(one, name):>10.4f}{getattr(other, name):>10.4f}"


def _count(figures: Metrics | None, name: str) -> str:
    return "-" if figures is None else f"{getattr(figures, name):,}"


def _ratio(figures: Metrics | None) -> Interval | None:
    return None if figures is None else observed_to_expected(figures)


def _interval(found: Interval | None) -> str:
    if found is None:
        return "-"
    return f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted.items())
