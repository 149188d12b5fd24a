"""What a demo came to: one object for machines, and a page of 80 columns for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

from models.manifest import Manifest, MeasuredLift
from models.registry import Entry
from streams.demo import stories as telling
from streams.demo.afterwards import Always, Replayed
from streams.demo.playing import Played
from streams.demo.recount import Lift, Recount
from streams.demo.shop import Effect
from streams.demo.worlds import WORLDS

_WIDTH: Final = 80
_CART: Final = "cart"
_CHANNELS: Final = ("push", "sms", "email")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything the page is told from.

    ``kinds``: trigger kind by campaign; ``prices``: cost of one message by channel; ``folder`` as
    it was asked for; ``seconds`` from the first process to the last count.
    """

    seed: int
    world: str
    days: int
    shoppers: int
    played: Played
    kinds: Mapping[str, str]
    prices: Mapping[str, float]
    replayed: Replayed
    recount: Recount
    always: Always
    stories: Sequence[telling.Story]
    truth: Effect
    folder: str
    seconds: float

    @property
    def kills(self) -> int:
        """Return how often the worker was killed."""
        return len(self.played.recovery)

    @property
    def cost(self) -> float:
        """Return what the messages of the run cost."""
        actions = self.recount.actions
        return sum(count * self.prices.get(name, 0.0) for name, count in actions.items())


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the object of ``rekindle demo --json``."""
    recount, always, model = outcome.recount, outcome.always, outcome.played.model
    lift = recount.lifts.get(_CART)
    return {
        "events": recount.events,
        "profiles": recount.profiles,
        "actions": {c: recount.actions.get(c, 0) for c in _CHANNELS},
        "triggers": {kind: _trigger(outcome, name) for name, kind in outcome.kinds.items()},
        "decisions": dict(sorted(recount.decisions.items())),
        "cap_violations": len(recount.over_cap),
        "lost": len(recount.lost),
        "duplicated": len(recount.doubled),
        "unexplained": len(recount.unexplained),
        "unknown": recount.unknown,
        "replayed": outcome.replayed.same,
        "kills": outcome.kills,
        "recovery_seconds": [round(took, 1) for took in outcome.played.recovery],
        "model": None if model is None else _model_as_json(model),
        "lift": {
            "estimate": _rounded(lift.estimate) if lift else None,
            "interval": [_rounded(x) for x in lift.interval] if lift and lift.interval else None,
            "true": _rounded(outcome.truth.per_thousand),
        },
        "always": {
            "actions": {c: always.messages.get(c, 0) for c in _CHANNELS},
            "cost": round(always.cost, 2),
        },
        "cost": round(outcome.cost, 2),
        "stories": [
            {
                "title": story.title,
                "user_id": story.user_id,
                "told": [t.strip() for t in story.told],
            }
            for story in outcome.stories
        ],
        "seed": outcome.seed,
        "world": outcome.world,
        "days": outcome.days,
        "shoppers": outcome.shoppers,
        "seconds": round(outcome.seconds, 1),
    }


def _model_as_json(entry: Entry) -> dict[str, Any]:
    manifest = entry.manifest
    overall = manifest.metrics.get("all")
    return {
        "name": manifest.name,
        "version": manifest.version,
        "provenance": manifest.provenance,
        "rows": sum(manifest.rows.values()),
        "auc": None if overall is None or overall.auc is None else overall.auc.estimate,
    }


def _trigger(outcome: Outcome, campaign: str) -> dict[str, int | None]:
    balance = outcome.recount.balances.get(campaign)
    if balance is None:
        return {"armed": 0, "due": 0, "closed": 0, "open": 0}
    closed = balance.sent + balance.silenced + balance.disarmed
    due = outcome.replayed.due.get(campaign, 0)
    return {"armed": balance.armed, "due": due, "closed": closed, "open": balance.open}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


# --- for people ---------------------------------------------------------------------------------


def banner(seed: int, days: int, shoppers: int, world: str, holdout: float) -> str:
    """Return what is said before it begins."""
    about = "" if world == "default" else f" World {world}: {WORLDS[world].about}"
    return _paragraph(
        f"A simulated shop: {shoppers:,} shoppers, {days} days, seed {seed}.{about} The people are "
        "invented, so what follows shows that the machinery works and is no evidence of what "
        f"messages do to people. {holdout:.0%} hear nothing, for comparison (production: 5%)."
    )


def told(
    outcome: Outcome, program: str = "rekindle", heading: Callable[[str], str] = lambda text: text
) -> str:
    """Return the closing page; ``program`` is what the reader types to run us.

    ``heading`` makes a line stand out, where that can be seen.
    """
    recount = outcome.recount
    parts = [
        _headline(outcome),
        _section(heading("True stories, found in the log"), telling.told(outcome.stories)),
        _section(heading("What became of every reason to speak"), _table(outcome)),
        _section(heading("Silenced or ended, by reason"), _reasons(recount.decisions)),
        _section(
            heading("Counted again from the files, by code that knows no engine"), _proof(outcome)
        ),
        _section(
            heading("What the cart reminders did"), _effect(recount.lifts.get(_CART), outcome.truth)
        ),
        _section(heading("What was learned on the way"), _learned(outcome)),
        _section(heading('The same log under "send always", by replay'), _always(outcome)),
        _section(heading("Next"), _next(outcome, program)),
    ]
    return "\n\n".join(part for part in parts if part)


def _section(title: str, body: Iterator[str]) -> str:
    lines = list(body)
    return "\n".join([title, *lines]) if lines else ""


def _headline(outcome: Outcome) -> str:
    actions = outcome.recount.actions
    by_channel = ", ".join(f"{count:,} by {name}" for name, count in sorted(actions.items()))
    return _paragraph(
        f"{outcome.days} days in {outcome.seconds:.0f} s: {outcome.recount.events:,} events of "
        f"{outcome.recount.profiles:,} people became {sum(actions.values()):,} messages "
        f"({by_channel or 'none'})."
    )


def _table(outcome: Outcome) -> Iterator[str]:
    yield f"{'':24}{'armed':>9} = {'sent':>6} + {'silenced':>8} + {'disarmed':>8} + {'open':>5}"
    for campaign, kind in outcome.kinds.items():
        balance = outcome.recount.balances.get(campaign)
        if balance is None:
            continue
        sum_ = f"{_count(balance.armed):>9} = {balance.sent:>6,} + {balance.silenced:>8,}"
        verdict = "" if balance.holds else "  DOES NOT ADD UP"
        yield (f"{kind:24}{sum_} + {balance.disarmed:>8,} + {_count(balance.open):>5}{verdict}")


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _reasons(decisions: Mapping[str, int]) -> Iterator[str]:
    """Yield the reasons two in a row, most frequent first."""
    others = [(n, reason.replace("_", " ")) for reason, n in decisions.items() if reason != "sent"]
    cells = [f"{count:>7,}  {reason:<29}" for count, reason in sorted(others, reverse=True)]
    half = (len(cells) + 1) // 2
    for left, right in zip(cells[:half], [*cells[half:], ""], strict=False):
        yield f"{left}{right}".rstrip()


def _proof(outcome: Outcome) -> Iterator[str]:
    recount = outcome.recount
    times = "once" if outcome.kills == 1 else f"{outcome.kills} times"
    same = "the same" if outcome.replayed.same else "SOMETHING ELSE"
    yield (
        f"lost {len(recount.lost)}, doubled {len(recount.doubled)}, over a cap "
        f"{len(recount.over_cap)}; the worker was killed with -9 {times}."
    )
    if recount.unknown:
        yield (
            f"In flight when it was killed, so never repeated: {recount.unknown} (told as unknown)."
        )
    yield f"A replay of the recorded log decides {same}, byte for byte."
    yield from _findings([*recount.lost, *recount.doubled, *recount.over_cap, *recount.unexplained])


def _findings(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences[:5]:
        yield f"  {sentence}"[:_WIDTH]
    if len(sentences) > 5:
        yield f"  and {len(sentences) - 5} more"


def _effect(lift: Lift | None, truth: Effect) -> Iterator[str]:
    if lift is None or lift.estimate is None or lift.interval is None:
        yield "Too few windows are over to compare treated and withheld people."
        return
    low, high = lift.interval
    true = "unknown" if truth.per_thousand is None else f"{truth.per_thousand:+.0f}"
    yield _paragraph(
        f"Orders within a day per 1,000: {1000 * lift.treated.share:.0f} where they were sent "
        f"({lift.treated.messages:,}), {1000 * lift.withheld.share:.0f} where they were withheld "
        f"({lift.withheld.messages:,}). Difference {lift.estimate:+.0f}, 95% interval {low:+.0f} "
        f"to {high:+.0f}. The true effect in this world, which only a simulator knows: {true}."
    )


def _learned(outcome: Outcome) -> Iterator[str]:
    entry = outcome.played.model
    if entry is None:
        yield _paragraph(outcome.played.unlearned or "Nothing was trained.")
        return
    manifest = entry.manifest
    rows, kinds = sum(manifest.rows.values()), " and ".join(manifest.trigger_kinds)
    yield _paragraph(
        f"{manifest.name}/{manifest.version} learned from {rows:,} decisions who orders unasked "
        f"after {kinds}{_auc(manifest)}."
    )
    for kind, lifts in sorted(manifest.lifts.items()):
        measured = ", ".join(f"{name} {_odds(lift)}" for name, lift in sorted(lifts.items()))
        yield _paragraph(f"Odds of an order with a message to without, {kind}: {measured}.")


def _auc(manifest: Manifest) -> str:
    overall = manifest.metrics.get("all")
    if overall is None or overall.auc is None:
        return ""
    auc = overall.auc
    return f": AUC {auc.estimate:.2f} ({auc.low:.2f} to {auc.high:.2f}) on days it had not seen"


def _odds(lift: MeasuredLift) -> str:
    return (
        f"x {lift.odds_ratio:.2f} (measured {lift.estimate:.2f}, {lift.low:.2f} to {lift.high:.2f})"
    )


def _always(outcome: Outcome) -> Iterator[str]:
    ours, theirs = sum(outcome.recount.actions.values()), sum(outcome.always.messages.values())
    currency = outcome.always.currency
    yield _paragraph(
        f"{theirs:,} messages for {outcome.always.cost:.2f} {currency} instead of {ours:,} for "
        f"{outcome.cost:.2f}: {theirs - ours:+,}. Consent, caps and "
        "quiet hours bound both. What shoppers would have done then, a replay cannot know."
    )


def _next(outcome: Outcome, program: str) -> Iterator[str]:
    folder = outcome.folder
    if outcome.stories:
        yield f"  {program} user why {outcome.stories[0].user_id} --from {folder}"
    yield f"  {program} replay {folder} --campaigns {folder}/mine.toml --diff recorded"
    yield f"  {program} up"


def _paragraph(text: str) -> str:
    return "\n".join(wrap(text, _WIDTH))


__all__ = ["Outcome", "as_json", "banner", "told"]
