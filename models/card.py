"""The model card: what a person should know before trusting a model, as JSON and as Markdown.

Made from the manifest alone, so equal models have equal cards; times are ISO 8601, UTC.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Final

import msgspec
from msgspec import Struct

from engine.times import iso
from models.manifest import Interval, Manifest, MeasuredLift, Metrics, Provenance, Window

_PURPOSE: Final = (
    "Says, for one person and one trigger, how likely an order within the campaign's conversion "
    "window is if nothing is sent. The worth of a message is reckoned from it."
)
_NOT_FOR: Final = (
    "It does not foretell whom a message persuades: that is one odds ratio for each channel.",
    "It is not for prices, credit, or any choice about a person other than whether to remind her.",
    "It knows only this shop and this time; triggers not named below keep the prior.",
)
_PROVENANCE: Final[Mapping[Provenance, str]] = {
    "real": "Learned from decisions logged by a shop and what its customers did afterwards.",
    "simulator": (
        "Learned from a simulated shop: it repeats the assumptions of the simulator and is no "
        "evidence about real customers. A shop refuses it unless its campaigns file says "
        "allow_simulated_model = true."
    ),
    "public": (
        "Learned from published data of another shop: it shows that the method works and says "
        "little about your customers. Train one on your own decisions as soon as you can."
    ),
}
_FIGURES: Final = {
    "base_rate": "orders per row",
    "auc": "AUC",
    "average_precision": "average precision",
    "log_loss": "log-loss",
    "ece10": "calibration error (ECE, ten bins)",
}
# How training names the slices that are no trigger kind.
_OVERALL: Final = "all"
_SILENT: Final = "nothing_sent"
_DIGITS: Final = 6
_Z: Final = 1.959964


class Bin(Struct, frozen=True, kw_only=True):
    """Rows that were given similar chances: the mean said and the share that ordered."""

    rows: int
    mean_predicted: float
    observed: float


class TriggerCard(Struct, frozen=True, kw_only=True):
    """What the model can do for one trigger kind, on time it had not seen.

    ``observed_to_expected``: orders that came for each one said, with the 95 % interval of a
    Poisson count. ``importance``: mean absolute contribution to the log-odds, the largest first.
    ``silence``: what was added to the log-odds because nothing was sent; ``lifts`` by channel.
    """

    kind: str
    positives: int
    metrics: Metrics
    calibration: str
    observed_to_expected: Interval | None
    reliability: list[Bin]
    importance: list[tuple[str, float]]
    silence: float
    lifts: dict[str, MeasuredLift]


class Making(Struct, frozen=True, kw_only=True):
    """How the model can be made again."""

    lightgbm_version: str
    rounds: int
    seed: int
    params: dict[str, float | int | bool | str]
    schema_hash: str
    checksum: str


class Span(Struct, frozen=True, kw_only=True):
    """First and last decision learned from or measured on, and how far the events reach."""

    first: str
    last: str
    until: str
    unseen_from: str | None


class Card(Struct, frozen=True, kw_only=True):
    """The card as data; ``overall``: all its triggers together; ``silent``: nothing was sent."""

    name: str
    version: str
    purpose: str
    not_for: tuple[str, ...]
    provenance: Provenance
    provenance_means: str
    created_at: str
    expires_at: str
    blocked: list[str]
    warnings: list[str]
    data: Span
    rows: dict[str, int]
    left_out: dict[str, int]
    features: int
    without: list[str]
    mean_order: float | None
    currency: str
    overall: Metrics | None
    silent: Metrics | None
    triggers: list[TriggerCard]
    made_with: Making


def card(manifest: Manifest) -> Card:
    """Return the card of a model."""
    return Card(
        name=manifest.name,
        version=manifest.version,
        purpose=_PURPOSE,
        not_for=_NOT_FOR,
        provenance=manifest.provenance,
        provenance_means=_PROVENANCE[manifest.provenance],
        created_at=iso(manifest.created_at),
        expires_at=iso(manifest.expires_at),
        blocked=manifest.blocked,
        warnings=manifest.warnings,
        data=_span(manifest.window),
        rows=manifest.rows,
        left_out=manifest.left_out,
        features=len(manifest.features),
        without=manifest.without,
        mean_order=manifest.mean_order,
        currency=manifest.currency,
        overall=manifest.metrics.get(_OVERALL),
        silent=manifest.metrics.get(_SILENT),
        triggers=[
            _trigger(manifest, kind) for kind in manifest.trigger_kinds if kind in manifest.metrics
        ],
        made_with=Making(
            lightgbm_version=manifest.lightgbm_version,
            rounds=manifest.rounds,
            seed=manifest.seed,
            params=manifest.params,
            schema_hash=manifest.schema_hash,
            checksum=manifest.checksum,
        ),
    )


def card_json(manifest: Manifest) -> bytes:
    """Return the card as JSON for programs and people."""
    content = msgspec.json.encode(card(manifest), order="sorted")
    return msgspec.json.format(content, indent=2) + b"\n"


def card_markdown(manifest: Manifest) -> str:
    """Return the card as a Markdown page."""
    return "\n".join(_page(card(manifest))) + "\n"


def observed_to_expected(figures: Metrics) -> Interval | None:
    """Return orders observed for each one expected; None where none was expected.

    The 95 % interval takes the orders as a Poisson count, by Byar's approximation (within 1 % of
    the exact one from ten orders on).
    """
    if not figures.mean_predicted:
        return None
    expected, count = figures.rows * figures.mean_predicted, figures.positives
    low = count * (1 - 1 / (9 * count) - _Z / (3 * sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    high = more * (1 - 1 / (9 * more) + _Z / (3 * sqrt(more))) ** 3
    return Interval(*(round(value / expected, _DIGITS) for value in (count, low, high)))


def _span(window: Window) -> Span:
    return Span(
        first=iso(window.first),
        last=iso(window.last),
        until=iso(window.until),
        unseen_from=None if window.unseen_from is None else iso(window.unseen_from),
    )


def _trigger(manifest: Manifest, kind: str) -> TriggerCard:
    calibration = manifest.calibration.get(kind)
    important = manifest.importance.get(kind, {})
    return TriggerCard(
        kind=kind,
        positives=manifest.positives.get(kind, 0),
        metrics=manifest.metrics[kind],
        calibration="identity" if calibration is None else calibration.kind,
        observed_to_expected=observed_to_expected(manifest.metrics[kind]),
        reliability=[
            Bin(
                rows=bin_.rows,
                mean_predicted=bin_.mean_predicted,
                observed=round(bin_.positives / bin_.rows, _DIGITS),
            )
            for bin_ in manifest.reliability.get(kind, [])
        ],
        importance=sorted(important.items(), key=lambda found: (-found[1], found[0])),
        silence=manifest.silence.get(kind, 0.0),
        lifts=manifest.lifts.get(kind, {}),
    )


# --- the page -----------------------------------------------------------------------------------


def _page(said: Card) -> Iterator[str]:
    yield f"# Model {said.name}/{said.version}"
    for sentence in said.blocked:
        yield f"\n**Blocked**: {sentence}"
    yield f"\n**Provenance: {said.provenance}.** {said.provenance_means}"
    yield f"\nMade {_day(said.created_at)}, expires {_day(said.expires_at)}."
    yield f"\n## Purpose\n\n{said.purpose}\n"
    yield from _points(said.not_for)
    yield from _data(said)
    yield f"\n## Measured on {_newest(said)}\n"
    yield from _measures(said)
    for trigger in said.triggers:
        yield from _trigger_page(trigger)
    if said.warnings:
        yield "\n## Warnings\n"
        yield from _points(said.warnings)
    yield from _making(said.made_with)


def _data(said: Card) -> Iterator[str]:
    yield "\n## Data\n"
    yield (
        f"Decisions from {_day(said.data.first)} to {_day(said.data.last)}, events until "
        f"{_day(said.data.until)}; {said.features} features.\n"
    )
    named = {**said.rows, **{f"left out: {why}": count for why, count in said.left_out.items()}}
    yield from _table(("rows", "count"), [(name, f"{n:,}") for name, n in named.items()])
    if said.without:
        yield f"\nNot shown to it: {', '.join(said.without)}."
    if said.mean_order is not None:
        yield f"\nMean order: {said.mean_order:.2f} {said.currency}."


def _newest(said: Card) -> str:
    since = said.data.unseen_from
    return "the newest fifth of the time" if since is None else f"decisions since {_day(since)}"


def _measures(said: Card) -> Iterator[str]:
    figures = {} if said.overall is None else {"all": said.overall}
    figures |= {trigger.kind: trigger.metrics for trigger in said.triggers}
    figures |= {} if said.silent is None else {"nothing sent": said.silent}
    lines = [
        ("rows", *(f"{found.rows:,}" for found in figures.values())),
        ("orders", *(f"{found.positives:,}" for found in figures.values())),
        ("people", *(f"{found.users:,}" for found in figures.values())),
        *(
            (title, *(_interval(getattr(found, name)) for found in figures.values()))
            for name, title in _FIGURES.items()
        ),
        (
            "orders for each one expected",
            *(_interval(observed_to_expected(found)) for found in figures.values()),
        ),
    ]
    yield from _table(("", *figures), lines)
    yield "\nIn brackets the 95 % interval, by bootstrap over people; of the last line, Poisson."


def _trigger_page(trigger: TriggerCard) -> Iterator[str]:
    yield f"\n## {trigger.kind}\n"
    yield f"{trigger.positives:,} orders in all slices; calibration: {trigger.calibration}."
    if trigger.reliability:
        yield "\nWhat it said and what happened, in bins of equal size:\n"
        yield from _table(
            ("rows", "said", "ordered"),
            [
                (f"{bin_.rows:,}", f"{bin_.mean_predicted:.3f}", f"{bin_.observed:.3f}")
                for bin_ in trigger.reliability
            ],
        )
    if trigger.importance:
        yield "\nWhat moves it most (mean absolute contribution to the log-odds):\n"
        yield from _table(
            ("feature", "contribution"),
            [(f"`{name}`", f"{moved:.3f}") for name, moved in trigger.importance],
        )
    if trigger.silence:
        yield f"\nAdded to the log-odds because nothing is sent: {trigger.silence:+.3f}."
    yield from _lifts(trigger.lifts)


def _lifts(lifts: Mapping[str, MeasuredLift]) -> Iterator[str]:
    if not lifts:
        yield "\nWhat a message does was not measured; the campaign's assumption speaks."
        return
    yield "\nWhat a message does, as odds with it to odds without, where chance decided:\n"
    yield from _table(
        ("channel", "used", "measured", "assumed before", "rows with", "rows without"),
        [
            (
                channel,
                f"{lift.odds_ratio:.2f}",
                f"{lift.estimate:.2f} [{lift.low:.2f}, {lift.high:.2f}]",
                f"{lift.prior:.2f}",
                f"{lift.treated:,}",
                f"{lift.untreated:,}",
            )
            for channel, lift in sorted(lifts.items())
        ],
    )


def _making(made: Making) -> Iterator[str]:
    yield "\n## How it was made\n"
    settings = ", ".join(f"{name} {value}" for name, value in sorted(made.params.items()))
    yield (
        f"LightGBM {made.lightgbm_version}, {made.rounds} trees, seed {made.seed}; {settings}.\n\n"
        f"Feature schema `{made.schema_hash}`, model text `{made.checksum}` (sha256)."
    )


def _points(sentences: Sequence[str]) -> Iterator[str]:
    yield from (f"- {sentence}" for sentence in sentences)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a Markdown table whose first column is words and whose others are numbers."""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    yield from (f"| {' | '.join(line)} |" for line in lines)


def _interval(found: Interval | None) -> str:
    if found is None:
        return "not measured"
    return f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _day(moment: str) -> str:
    return moment[:10]
