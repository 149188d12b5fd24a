"""Actions against the gateway's own book and against what was reported: each accounted once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from engine.actions import Action
from tests.faults.checker.findings import Findings
from tests.faults.world.plan import GatewayCall

# These say for certain that nobody got it by us; `unknown` says that somebody may have.
_NOT_CARRIED: Final = frozenset({"expired", "cancelled", "rejected", "failed"})
# Told later about what was carried: no end of a hand-over.
_ENDS: Final = _NOT_CARRIED | {"accepted", "unknown"}


class _Report(msgspec.Struct):
    feedback_id: str
    action_id: str
    type: str


_report = msgspec.json.Decoder(_Report).decode


def account(
    actions: Mapping[str, Action],
    calls: Iterable[GatewayCall],
    feedback: Iterable[bytes],
    findings: Findings,
) -> None:
    """``actions``: by id, after the readers' rule; ``feedback``: values of the topic."""
    carried = _calls(actions, calls, findings)
    ends = _ends(actions, feedback, findings)
    for action_id, action in actions.items():
        told = ends.get(action_id, set())
        if not told:
            findings.broke("hand_overs_lost", f"{action_id} {action.channel} {action.user_id}")
        elif told <= _NOT_CARRIED and carried[action_id]:
            findings.broke("hand_overs_untrue", f"{action_id} carried, told {sorted(told)}")
        elif "accepted" in told and not carried[action_id]:
            findings.broke("hand_overs_untrue", f"{action_id} not carried, told accepted")
        else:
            findings.tell(_class(told))
            if _class(told) == "unknown" and carried[action_id]:
                findings.tell("unknown_and_carried")
    findings.tell("carried", sum(map(bool, carried.values())))
    _same_message_twice(actions, carried, findings)


def _calls(
    actions: Mapping[str, Action], calls: Iterable[GatewayCall], findings: Findings
) -> Counter[str]:
    """Return how often a person got each action by the calls."""
    carried = Counter[str]()
    for call in calls:
        findings.tell("calls")
        findings.tell("calls_repeated", int(call.repeated))
        if call.action_id not in actions:
            findings.broke("calls_undecided", f"{call.action_id} {call.channel}")
        carried[call.action_id] += call.carried
    for action_id, times in carried.items():
        for _ in range(times - 1):
            findings.broke("doubled_at_gateway", f"{action_id} {times} times")
    return carried


def _ends(
    actions: Mapping[str, Action], feedback: Iterable[bytes], findings: Findings
) -> dict[str, set[str]]:
    ends: dict[str, set[str]] = defaultdict(set)
    seen: set[str] = set()
    for value in feedback:
        try:
            report = _report(value)
        except msgspec.MsgspecError:  # what somebody else put there is a matter of dead letters
            continue
        if report.feedback_id in seen:
            findings.tell("reports_repeated")
        seen.add(report.feedback_id)
        if report.action_id in actions and report.type in _ENDS:
            ends[report.action_id].add(report.type)
    return ends


def _class(told: set[str]) -> str:
    """Return the one word for what came of it: what is certain goes before what is in doubt."""
    order = ("accepted", "unknown", "rejected", "failed", "expired", "cancelled")
    return next(word for word in order if word in told)


def _same_message_twice(
    actions: Mapping[str, Action], carried: Mapping[str, int], findings: Findings
) -> None:
    """One episode says one thing once, under whatever id it was handed over."""
    said: dict[tuple[str, ...], str] = {}
    for action_id, action in actions.items():
        why = action.trigger
        key = action.user_id, action.campaign.id, why.kind, why.key, why.episode
        if carried[action_id] and said.setdefault(key, action_id) != action_id:
            findings.broke("doubled_at_gateway", f"{action_id} and {said[key]} say the same")
