"""What a demo came to: one object for machines, and a page of 80 columns for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

from streams.demo.recount import Lift, Recount
from streams.demo.shop import Effect

_WIDTH: Final = 80
_CART: Final = "cart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything the story is told from.

    ``kinds``: trigger kind by campaign; ``due``: triggers that became due, by campaign;
    ``replayed``: whether a replay of the recorded log decided the same, byte for byte; ``folder``
    as it was asked for, None = not kept; ``witness``: somebody about whom there is a decision.
    """

    seed: int
    days: int
    shoppers: int
    seconds: float
    kills: int
    holdout: float
    kinds: Mapping[str, str]
    due: Mapping[str, int]
    replayed: bool
    recount: Recount
    truth: Effect
    folder: str | None
    witness: str


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the object of ``rekindle demo --json``; what needs later work is null."""
    recount = outcome.recount
    lift = recount.lifts.get(_CART)
    return {
        "events": recount.events,
        "profiles": recount.profiles,
        "actions": {c: recount.actions.get(c, 0) for c in ("push", "sms", "email")},
        "triggers": {kind: _trigger(outcome, name) for name, kind in outcome.kinds.items()},
        "decisions": dict(sorted(recount.decisions.items())),
        "cap_violations": len(recount.over_cap),
        "lost": len(recount.lost),
        "duplicated": len(recount.doubled),
        "unexplained": len(recount.unexplained),
        "replayed": outcome.replayed,
        "kills": outcome.kills,
        "model": None,
        "lift": {
            "estimate": _rounded(lift.estimate) if lift else None,
            "interval": [_rounded(x) for x in lift.interval] if lift and lift.interval else None,
            "true": _rounded(outcome.truth.per_thousand),
        },
        "seed": outcome.seed,
        "days": outcome.days,
        "seconds": round(outcome.seconds, 1),
    }


def _trigger(outcome: Outcome, campaign: str) -> dict[str, int | None]:
    balance = outcome.recount.balances.get(campaign)
    if balance is None:
        return {"armed": 0, "due": 0, "closed": 0, "open": 0}
    closed = balance.sent + balance.silenced + balance.disarmed
    due = outcome.due.get(campaign, 0)
    return {"armed": balance.armed, "due": due, "closed": closed, "open": balance.open}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


# --- for people ---------------------------------------------------------------------------------


def banner(seed: int, days: int, shoppers: int, holdout: float) -> str:
    """Return what is said before it begins."""
    return _paragraph(
        f"A simulated shop: {shoppers} shoppers, {days} days, seed {seed}. The people are "
        "invented, so what follows shows that the machinery works and is no evidence of what "
        f"messages do to people. {holdout:.0%} hear nothing, for comparison (production: 5%)."
    )


def told(outcome: Outcome, program: str = "rekindle") -> str:
    """Return the closing page; ``program`` is what the reader types to run us."""
    recount = outcome.recount
    parts = [
        _headline(outcome),
        "\n".join(_table(outcome)),
        "\n".join(_reasons("Silenced or ended, by reason:", recount.decisions)),
        "\n".join(_proof(outcome)),
        _effect(recount.lifts.get(_CART), outcome.truth),
        "\n".join(_next(outcome, program)),
    ]
    return "\n\n".join(part for part in parts if part)


def _headline(outcome: Outcome) -> str:
    actions = outcome.recount.actions
    by_channel = ", ".join(f"{count} by {name}" for name, count in sorted(actions.items()))
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


def _reasons(title: str, decisions: Mapping[str, int]) -> Iterator[str]:
    yield title
    others = [(n, reason) for reason, n in decisions.items() if reason != "sent"]
    for count, reason in sorted(others, reverse=True):
        yield f"  {count:>7,}  {reason.replace('_', ' ')}"


def _proof(outcome: Outcome) -> Iterator[str]:
    recount = outcome.recount
    yield (
        f"Counted again from the files: lost {len(recount.lost)}, doubled "
        f"{len(recount.doubled)}, over a cap {len(recount.over_cap)},"
    )
    times = "once" if outcome.kills == 1 else f"{outcome.kills} times"
    same = "the same" if outcome.replayed else "NOT THE SAME"
    yield f"with the worker killed -9 {times}. A replay of the log decides {same}."
    yield from _findings([*recount.lost, *recount.doubled, *recount.over_cap, *recount.unexplained])


def _findings(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences[:5]:
        yield f"  {sentence}"[:_WIDTH]
    if len(sentences) > 5:
        yield f"  and {len(sentences) - 5} more"


def _effect(lift: Lift | None, truth: Effect) -> str:
    if lift is None or lift.estimate is None or lift.interval is None:
        return _paragraph("Too few windows are over to compare treated and withheld people.")
    low, high = lift.interval
    true = "unknown" if truth.per_thousand is None else f"{truth.per_thousand:+.0f}"
    return _paragraph(
        f"Orders within a day per 1,000 cart reminders: {1000 * lift.treated.share:.0f} where "
        f"they were sent ({lift.treated.messages:,}), {1000 * lift.withheld.share:.0f} where "
        f"they were withheld ({lift.withheld.messages:,}): {lift.estimate:+.0f}, 95% interval "
        f"{low:+.0f} to {high:+.0f}. The true effect in this world, which only a simulator "
        f"knows: {true}."
    )


def _next(outcome: Outcome, program: str) -> Iterator[str]:
    if outcome.folder is None:
        yield f"Next: {program} demo --keep demo-run"
        yield "keeps the run, to replay it and to ask why."
        return
    folder = outcome.folder
    yield "Next (edit the campaigns file first, and see what changes):"
    yield f"  {program} user why {outcome.witness} --from {folder}/decisions.jsonl"
    yield f"  {program} replay {folder} --campaigns {folder}/campaigns.toml"
    yield f"  {program} train --from {folder} --provenance simulator"


def _paragraph(text: str) -> str:
    return "\n".join(wrap(text, _WIDTH))


__all__ = ["Outcome", "as_json", "banner", "told"]
