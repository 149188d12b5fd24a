"""docs/reference/decisions-and-reasons.md: the record of a decision, its reasons, the guards."""

from typing import Final

from engine import reasons
from engine.decisions import ChannelView, Decision, DecisionTrigger, HeldBack
from engine.ports import CapState, ModelRef
from rules import GUARDS
from streams.reference.markdown import fields, head, plain, table, written
from streams.sentence import SENTENCES

_TIMES, _MINUS = " \N{MULTIPLICATION SIGN} ", " \N{MINUS SIGN} "
WORTH: Final = _MINUS.join(
    [_TIMES.join(["uplift", "margin", "basket"]), "cost", f"patience{_TIMES}(1 + F)"]
)

_GROUPS: Final = {
    "It was said, or would have been": reasons.SAID,
    "The reason to speak ended before it was due": reasons.ENDED,
    "She may not or cannot be spoken to": reasons.NOT_REACHABLE,
    "She has heard enough, or it is night": reasons.TOO_MUCH,
    "The operator said so": reasons.STOPPED,
    "It was weighed and found too light": reasons.WEIGHED,
    "Something else stood in the way": reasons.FAILED,
}

_TRIGGER: Final = {
    "kind": "`trigger` of the campaign.",
    "key": "What it hangs on: a cart id (empty for the unnamed cart) or an order id.",
    "episode": "Id of the event that armed it first.",
    "armed_at": "Time of that event.",
    "due_at": "When it was due; fixed by the events, whatever was applied since.",
}
_VIEW: Final = {
    "objection": "Reason of the first guard that objected; null = none did.",
    "p0": "Probability of an order within the conversion window if nothing is sent.",
    "lift": "Odds of an order with the message to odds without it: measured where the model's card "
    "says so, else assumed by the campaign.",
    "uplift": "What the message would add to `p0`.",
    "worth": f"{WORTH}, in `currency`.",
    "propensity": "Probability with which this channel was chosen.",
}
_MEANINGS: Final = {
    "v": "Version of this record.",
    "decision_id": "Id of this decision: of the action and the attempt.",
    "pos": "Position: `offset.ordinal` of its cause in `events`; the header `x-pos` says the same.",
    "at": "Time of the tick that decided, or of arrival of the event that ended it.",
    "user_id": "Whom it is about; `anon:` begins the id of somebody unknown.",
    "campaign": "Id of the campaign.",
    "campaign_version": "Its version in force; null when the campaign is no longer in the file.",
    "trigger": "Why.",
    "attempt": "How often it was deferred before.",
    "outcome": "`send` and `suppress` close a due trigger, `disarm` ends it because its reason is "
    "gone, `defer` keeps it until `until`.",
    "reason": "One of the reasons below.",
    "until": "When it is decided anew.",
    "channel": "The channel chosen.",
    "currency": "Of `worth` and `basket`.",
    "channels": "Every channel of the campaign, in its order.",
    "none_propensity": "Probability with which silence was chosen.",
    "draw": "The lot that chose; null where nothing was drawn.",
    "explored": "Whether chance chose something else than the best.",
    "withheld": "Whether it was charged to caps although nothing was sent (holdout, dry run).",
    "tester": "Whether she is one of the operator's testers.",
    "features": "What the model was told, see [features](features.md).",
    "schema_hash": "Which features these are.",
    "model": "Which model spoke; null = the prior of the campaign.",
    "settings_hash": "Which settings were in force.",
    "caps": "Every cap as it stood before this decision: name, used, limit.",
    "basket": "The order value at stake.",
    "action_id": "The action that was or would have been sent.",
    "held": "Who paused or throttled what silenced it; absent where nobody did, or said so.",
}
_HELD: Final = {
    "target": "`channel:<name>` or `campaign:<id>`.",
    "share": "Share of its messages that may be sent: 0 = paused.",
    "by": "`operator:<name>`, `audit` or `brake`.",
    "reason": "Why, in their words.",
    "since": "When it began.",
    "until": "When it ends by itself; null = when a person ends it.",
}


def page() -> str:
    """Return the page."""
    lines = head(
        "Decisions and reasons",
        "`engine/decisions.py`, `engine/reasons.py` and `streams/sentence.py`",
        "Every armed trigger ends in exactly one record on `decisions`; deferrals come before it. "
        "`rekindle user why` prints them as sentences.",
    )
    lines += ["## Reasons", ""]
    for title, group in _GROUPS.items():
        lines += [f"### {title}", ""]
        lines += table(["reason", "as a sentence"], [_reason(name) for name in group])
    lines += [
        (
            f"`{reasons.CAP}<name>` stands beside them: a cap of the campaigns file is used up. "
            "Each reason is also a value of the label `reason` of `rekindle_decisions_total`."
        ),
        "",
        "## Which guard speaks",
        "",
        (
            "For each channel the guards are asked in this order, and the first objection counts. "
            "When all channels object, the channel that came furthest speaks for the decision; of "
            "two, the first in the campaign's order."
        ),
        "",
        *table(
            ["", "guard", "objects", "asked again before hand-over", "binds testers"], _guards()
        ),
        "## The record",
        "",
        *table(["field", "type", "default", "meaning"], fields(Decision, _MEANINGS)),
    ]
    for kind, meanings in (
        (DecisionTrigger, _TRIGGER),
        (ChannelView, _VIEW),
        (HeldBack, _HELD),
    ):
        lines += [f"### {kind.__name__}", ""]
        lines += table(["field", "type", "default", "meaning"], fields(kind, meanings))
    lines += [
        f"### {CapState.__name__}",
        "",
        f"A list: {', '.join(CapState._fields)}.",
        "",
        f"### {ModelRef.__name__}",
        "",
        f"A list: {', '.join(ModelRef._fields)}.",
    ]
    return written(lines)


def _reason(name: str) -> list[str]:
    return [f"`{name}`", SENTENCES[name].format(channel="push")]


def _guards() -> list[list[str]]:
    return [
        [
            str(place),
            guard_name(guard),
            _objects(guard),
            "yes" if guard.at_handover else "no",
            "yes" if guard.for_testers else "no",
        ]
        for place, guard in enumerate(GUARDS, 1)
    ]


def guard_name(guard: object) -> str:
    """Return the name of a guard: that of its module."""
    return type(guard).__module__.rpartition(".")[2].replace("_", " ")


def _objects(guard: object) -> str:
    first, *_ = (type(guard).__doc__ or "").split("\n\n")
    return plain(first)


__all__ = ["WORTH", "guard_name", "page"]
