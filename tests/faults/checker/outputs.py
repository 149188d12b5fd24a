"""Decisions and actions in the log against the expected ones; and the book-keeping of episodes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from engine.decisions import Decision
from engine.ports import OutboxId
from engine.profile import decode as decode_profile
from tests.faults.checker.findings import Findings
from tests.faults.world.plan import Read

Entry = tuple[OutboxId, bytes]


def position(record: Read) -> OutboxId:
    """Return the position of the cause, which every outgoing record carries."""
    offset, _, ordinal = dict(record.headers)["x-pos"].decode().partition(".")
    return OutboxId(int(offset), int(ordinal))


def readers_rule(records: Iterable[Read], findings: Findings) -> list[Entry]:
    """Drop what is not above the last position, as every reader does, and see what was dropped."""
    kept: list[Entry] = []
    values: dict[OutboxId, bytes] = {}
    for record in records:
        at, value = position(record), record.value or b""
        if not kept or at > kept[-1][0]:
            kept.append((at, value))
            values[at] = value
        elif at not in values:
            findings.broke("outputs_reordered", f"{record.topic}/{record.partition} {at}")
        else:
            findings.tell("doubled_in_log")
            if values[at] != value:
                findings.broke("doubles_unexplained", f"{record.topic}/{record.partition} {at}")
    return kept


def compare(place: str, kept: Sequence[Entry], wanted: Sequence[Entry], findings: Findings) -> None:
    """Compare what readers see of one topic and partition with what was expected."""
    there, expected = dict(kept), dict(wanted)
    for at, value in expected.items():
        if at not in there:
            findings.broke("outputs_lost", f"{place} {at}: {value.decode()}")
        elif there[at] != value:
            told = f"{there[at].decode()} instead of {value.decode()}"
            findings.broke("outputs_altered", f"{place} {at}: {told}")
    for at in there.keys() - expected.keys():
        findings.broke("outputs_unexpected", f"{place} {at}: {there[at].decode()}")


def distinct(ids: Iterable[str], findings: Findings) -> None:
    """Count ids that stand more than once after the readers' rule."""
    for name, times in Counter(ids).items():
        for _ in range(times - 1):
            findings.broke("doubled_after_rule", name)


def closings(
    decisions: Iterable[Decision],
    profiles: Mapping[str, bytes],
    armed: Mapping[str, int],
    findings: Findings,
) -> None:
    """Every armed trigger was closed exactly once, or is still open; ``armed`` by campaign."""
    closed = Counter[tuple[str, ...]]()
    for decision in decisions:
        if decision.outcome != "defer":
            told = decision.trigger
            closed[decision.user_id, decision.campaign, told.kind, told.key, told.episode] += 1
    still = {
        (user, trigger.campaign, trigger.kind, trigger.key, trigger.episode)
        for user, packed in profiles.items()
        for trigger in decode_profile(packed).triggers
    }
    for key, times in closed.items():
        if times > 1 or key in still:
            findings.broke("closed_twice", f"{times} times, open {key in still}: {key}")
    accounted = Counter(key[1] for key in (*closed.elements(), *still))
    for campaign in {*accounted, *armed}:
        if accounted[campaign] != armed.get(campaign, 0):
            sums = f"{accounted[campaign]} of {armed.get(campaign, 0)} in {campaign}"
            findings.broke("armed_unaccounted", sums)
    findings.tell("triggers_open", len(still))
    findings.tell("triggers_closed", sum(closed.values()))
