"""Compares what a shop was told with what came of it; every disagreement has a kind.

The oracle is the log, folded without faults by the engine as it is: a shop that ran with a mutant
is checked without it.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import ConsumerRecord

from engine import decisions
from engine.actions import decode as decode_action
from engine.events import Position, Tick
from engine.memory import MemoryArtefacts, MemoryStore
from engine.pipeline import chunks, take
from engine.ports import Head, OutboxId
from engine.times import SECOND, from_iso
from streams.delivery.feedback import decode as decode_feedback
from streams.log import codec
from streams.log.reader import position_of
from streams.log.topics import partition_of
from tests.faults.simulation.shop import (
    CARRIED,
    EVENTS,
    FEEDBACK,
    OUTPUTS,
    POLICIES,
    RAW,
    Carried,
    Shop,
    build,
)
from tests.support.oracle import readers_rule

# What a tick may not know of, ms: streams.log.ticks.BEHIND, spelt again on purpose.
_BEHIND: Final = 5 * SECOND
# So often intake may write a record while Redis keeps nothing: once, and once more for each worker
# that took it over and had said before that it could.
_WRITTEN: Final = 4
_FINAL: Final = {"accepted", "rejected", "failed", "expired", "cancelled", "unknown"}
_NOT_SENT: Final = {"rejected", "failed", "expired", "cancelled"}

Entries = list[tuple[OutboxId, bytes]]


@dataclass
class Verdict:
    """``wrong``: kind and sentence; ``counts``: figures worth telling."""

    wrong: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.wrong}

    def say(self, kind: str, sentence: str) -> None:
        self.wrong.append((kind, sentence))


@dataclass
class Expected:
    """What the log comes to."""

    out: dict[tuple[str, int], Entries] = field(default_factory=lambda: defaultdict(list))
    perhaps: dict[tuple[str, int], Entries] = field(default_factory=lambda: defaultdict(list))
    state: dict[bytes, bytes] = field(default_factory=dict)
    wakes: dict[int, dict[bytes, int]] = field(default_factory=dict)
    applied: int = 0


def check(shop: Shop) -> Verdict:
    """Say everything that is wrong with what a shop left behind."""
    verdict = Verdict()
    if shop.unseen:
        verdict.counts["runs in which nothing could tell that the log was made anew"] += 1
        return verdict
    for crash in shop.crashes:
        verdict.say("crashed", crash)
    if shop.stuck:
        verdict.say("stuck", shop.stuck)
    if shop.too_soon:
        verdict.say("left before it was committed", shop.too_soon[0])
    _said(shop, verdict)
    _flooded(shop, verdict)
    _forwarded(shop, verdict)
    expected = expected_of(shop)
    _outputs(shop, expected, verdict)
    if not shop.stuck:
        _state(shop, expected, verdict)
    _causes(shop, verdict)
    _ticks(shop, verdict)
    _handed_over(shop, verdict)
    _caps(shop, verdict)
    verdict.counts["messages sent"] = len(shop.sent)
    verdict.counts["events applied"] = expected.applied
    return verdict


# --- the oracle ---------------------------------------------------------------------------------


def expected_of(shop: Shop) -> Expected:
    """Fold the log partition by partition, in one go."""
    files, found = MemoryArtefacts(build), Expected()
    for name in POLICIES:
        files.put(name, b"")
    for partition, place in enumerate(shop.broker.topics[EVENTS]):
        asyncio.run(_fold(partition, place.records, files, found))
        if place.lost:
            asyncio.run(_before_the_cut(shop, partition, files, found))
    return found


async def _before_the_cut(
    shop: Shop, partition: int, files: MemoryArtefacts, found: Expected
) -> None:
    """Add what came of the records that retention took while they were read.

    What was decided, and had not left when the keys of the partition were emptied, may be missing.
    """
    whole, before = shop.broker.at(EVENTS, partition).whole, Expected()
    await _fold(partition, whole, files, before)
    reborn = shop.rebirths.get(partition)
    stood = reborn.stood if reborn is not None else 0
    furthest = reborn.furthest if reborn is not None else 0
    forgotten = reborn.forgotten if reborn is not None else set()
    for topic in OUTPUTS:
        for entry in before.out[topic, partition]:
            known = (topic, b"%d-%d" % entry[0]) in forgotten
            if entry[0].offset < stood and not known:
                found.out[topic, partition].append(entry)
            elif entry[0].offset < furthest:
                found.perhaps[topic, partition].append(entry)
        found.out[topic, partition].sort()


async def _fold(
    partition: int, records: Sequence[ConsumerRecord], files: MemoryArtefacts, found: Expected
) -> None:
    if not records:
        return
    store, head = MemoryStore(), Head()
    await store.acquire(partition, "oracle")
    decoded = [(r.offset, codec.read_at(r.value or b"", r.timestamp)) for r in records]
    for chunk in chunks(decoded, records[0].offset, size=137):
        force = files.resolve(head.settings)
        assert force is not None
        taken = await take(store, partition, head, chunk, force)
        await store.commit(partition, "oracle", taken.commit)
        head = taken.commit.head
        found.applied += sum(taken.report.events.values())
        for entry in taken.commit.outbox:
            found.out[entry.topic, partition].append((entry.id, entry.value))
    at, tag = store.partitions[partition], b"rk:{%d}:" % partition
    found.state |= {tag + b"u:" + user.encode(): packed for user, packed in at.users.items()}
    found.state |= {tag + b"a:" + user.encode(): told for user, told in at.addresses.items()}
    found.wakes[partition] = {user.encode(): wake for user, wake in at.wakes.items()}


# --- the checks ---------------------------------------------------------------------------------


def _positions(records: Iterable[ConsumerRecord]) -> Iterator[tuple[int, Position]]:
    """Yield offset and source position of events, as the owner takes them: rising per source."""
    highest: dict[tuple[str, int], tuple[int, int, int]] = {}
    for record in records:
        read = codec.read(record.value or b"")
        position = getattr(read, "source", None)
        if position is None:
            continue
        lane = position.source, position.partition
        mine = position.generation, position.offset, position.ordinal
        if mine > highest.get(lane, (-1, -1, -1)):
            highest[lane] = mine
            yield record.offset, position


def _forwarded(shop: Shop, verdict: Verdict) -> None:
    """What was acknowledged to an app is in the log, once when positions are obeyed."""
    taken: set[str] = set()
    for place in shop.broker.topics[EVENTS]:
        written = sum(
            getattr(codec.read(r.value or b""), "source", None) is not None for r in place.whole
        )
        read = list(_positions(place.whole))
        verdict.counts["repeated by intake"] += written - len(read)
        taken |= {_message(place.whole[offset]) for offset, p in read if p.source == RAW}
    gone = {
        json.loads(record.value or b"")["messageId"]: each.told
        for each in shop.destroyed
        for record in each.records
    }
    destroyed = gone.keys() - taken
    verdict.counts["messages destroyed"] += len(destroyed)
    lost = [sent for sent in shop.sent if sent.message not in taken | destroyed]
    if any(gone[name] for name in destroyed) and not any(f"{RAW}/" in told for told in shop.told):
        verdict.say("skipped silently", f"{len(destroyed)} messages, {min(destroyed)} among them")
    if lost and not shop.stuck:
        verdict.say("lost on the way in", f"{len(lost)} messages, {lost[0]} first")


def _message(record: ConsumerRecord) -> str:
    """Return the id an app gave to the message that a record of the log came from."""
    event = codec.read(record.value or b"")
    return str(getattr(event, "event_id", "")).partition("#")[0]


def _said(shop: Shop, verdict: Verdict) -> None:
    """What a harm did was said by a lane that stopped for it."""
    for words in sorted(shop.must_say):
        if not any(words in told for told in shop.told):
            verdict.say("skipped silently", f"no lane stopped with {words!r}")
    if shop.elsewhere:
        verdict.say("went on in another log", shop.elsewhere[0])
    verdict.counts["sentences of halted lanes"] += len(shop.told)


def _flooded(shop: Shop, verdict: Verdict) -> None:
    """While Redis keeps nothing, intake does not write the same again and again."""
    most: Counter[Position] = Counter()
    for partition, begin in shop.full_from.items():
        for record in shop.broker.at(EVENTS, partition).whole[begin : shop.full_to[partition]]:
            position = getattr(codec.read(record.value or b""), "source", None)
            if position is not None:
                most[position] += 1
    for position, times in most.most_common(1):
        verdict.counts[f"written {times} times while Redis was full"] += 1
        if times > _WRITTEN:
            verdict.say("written again and again", f"{position} {times} times")


def _outputs(shop: Shop, expected: Expected, verdict: Verdict) -> None:
    """Decisions and actions are those of the oracle, in its order."""
    for topic in OUTPUTS:
        for partition, place in enumerate(shop.broker.topics[topic]):
            raw: Entries = []
            for record in place.records:
                at = position_of(record)
                assert at is not None
                raw.append((at, record.value or b""))
            seen, wanted = readers_rule(raw), expected.out.get((topic, partition), [])
            verdict.counts["doubled in the log"] += len(raw) - len(seen)
            verdict.counts[topic.partition(".")[0]] += len(seen)
            where = f"{topic}/{partition}"
            there, due = dict(seen), dict(wanted)
            perhaps = dict(expected.perhaps.get((topic, partition), []))
            due |= {at: value for at, value in perhaps.items() if at in there}
            if lost := [at for at in due if at not in there]:
                verdict.say("lost", f"{where} lacks {len(lost)} records, {lost[0]} first")
            if more := [at for at in there if at not in due]:
                verdict.say("unexpected", f"{where} holds {len(more)} more, {more[0]} first")
            if other := [at for at in due if at in there and there[at] != due[at]]:
                verdict.say("differs", f"{where} differs at {other[0]}")


def _state(shop: Shop, expected: Expected, verdict: Verdict) -> None:
    for partition in range(shop.plan.partitions):
        tag = b"rk:{%d}:" % partition
        kept = {
            key: value
            for key, value in shop.database.keys.items()
            if key.startswith((tag + b"u:", tag + b"a:"))
        }
        wanted = {key: value for key, value in expected.state.items() if key.startswith(tag)}
        if kept != wanted:
            names = sorted(key for key in {*kept, *wanted} if kept.get(key) != wanted.get(key))
            verdict.say("profiles", f"{len(names)} differ, {names[0]!r} first")
        wakes = shop.database.keys.get(tag + b"w", {})
        if wakes != expected.wakes.get(partition, {}):
            verdict.say("wake-ups", f"those of partition {partition} differ")


def _causes(shop: Shop, verdict: Verdict) -> None:
    """Only a tick fires; a trigger closes once."""
    closed: Counter[tuple[Any, ...]] = Counter()
    for partition, place in enumerate(shop.broker.topics["decisions"]):
        cut = shop.broker.topics[EVENTS][partition]
        log = cut.whole
        last = OutboxId(-1, 0)
        for record in place.records:
            at = position_of(record)
            assert at is not None
            if at <= last or at.offset >= len(log):  # of nothing that is there: said elsewhere
                continue
            last = at
            decision = decisions.decode(record.value or b"")
            cause = codec.read(log[at.offset].value or b"")
            if decision.action_id is not None and not isinstance(cause, Tick):
                verdict.say("fired by an event", f"decision {at} of {partition}: {cause!r}")
            if decision.outcome != "defer":
                said = decision.trigger
                key = decision.user_id, decision.campaign, said.kind, said.key, said.episode
                # What retention took is forgotten: the other side of it is another life.
                closed[(*key, at.offset < cut.begin)] += 1
    twice = [key for key, times in closed.items() if times > 1]
    if twice:
        verdict.say("closed twice", f"{twice[0]}")


def _ticks(shop: Shop, verdict: Verdict) -> None:
    """What reached Kafka five seconds before a tick lies before it in its partition."""
    for partition, place in enumerate(shop.broker.topics[EVENTS]):
        offsets: dict[str | tuple[int, int], int] = {}
        # Also where it was written in a generation that Redis had forgotten: before the owner comes
        # to it and stops, nobody can know that it will be read once more.
        for offset, record in enumerate(place.whole):
            position = getattr(codec.read(record.value or b""), "source", None)
            if position is None:
                continue
            message: str | tuple[int, int] = position.partition, position.offset
            if position.source == RAW:
                message = _message(place.whole[offset])
            offsets.setdefault(message, offset)
        raw = [(each.at, offsets[each.message]) for each in shop.sent if each.message in offsets]
        raw += [
            (record.timestamp, offsets[record.partition, record.offset])
            for record in shop.log(FEEDBACK)
            if (record.partition, record.offset) in offsets
        ]
        for record in place.whole:
            tick = codec.read(record.value or b"")
            if not isinstance(tick, Tick) or abs(tick.now - record.timestamp) > _BEHIND:
                continue
            late = [at for at, offset in raw if at < tick.now - _BEHIND and offset > record.offset]
            if late:
                behind = (tick.now - min(late)) / 1000
                verdict.say(
                    "decided on old knowledge",
                    f"tick {record.offset} of {partition} at {tick.now}: {len(late)} messages, "
                    f"the oldest {behind:.1f} s old, lie behind it",
                )
                break


def _handed_over(shop: Shop, verdict: Verdict) -> None:
    """Everybody got it at most once, in order, and each action has its report."""
    told: dict[str, set[str]] = defaultdict(set)
    for record in shop.log(FEEDBACK):
        feedback = decode_feedback(record.value or b"")
        told[feedback.action_id].add(feedback.type)
    everything = shop.carried[shop.anew_from :]
    for action_id, times in Counter(carried.action_id for carried in everything).items():
        if times > 1:
            verdict.say("doubled at the gateway", f"{action_id} {times} times")
    ids: set[str] = set()
    order: dict[str, list[str]] = defaultdict(list)
    for channel in CARRIED:
        for place in shop.broker.topics["actions." + channel]:
            last = OutboxId(-1, 0)
            for record in place.records:
                at = position_of(record)
                assert at is not None
                if at > last:
                    last = at
                    action = decode_action(record.value or b"")
                    ids.add(action.action_id)
                    order[channel + action.user_id].append(action.action_id)
    carried_ids = {carried.action_id for carried in everything}
    if strange := carried_ids - ids:
        verdict.say("unexpected", f"the gateway carried {min(strange)}: nobody decided it")
    if not shop.stuck:
        for action_id in sorted(ids):
            if not told[action_id] & _FINAL:
                got = "carried" if action_id in carried_ids else "not carried"
                verdict.say("unaccounted", f"{action_id} ({got}) has no report")
    for action_id in sorted(carried_ids & ids):
        if told[action_id] & _NOT_SENT and not told[action_id] & {"accepted", "unknown"}:
            verdict.say("given back", f"{action_id} was carried, and told {told[action_id]}")
    for outcomes in told.values():
        for outcome in outcomes:
            verdict.counts[f"told {outcome}"] += 1
    _in_order(shop, order, verdict)


def _in_order(shop: Shop, order: dict[str, list[str]], verdict: Verdict) -> None:
    got: dict[str, list[str]] = defaultdict(list)
    for carried in shop.carried[shop.anew_from :]:
        got[carried.channel + carried.user_id].append(carried.action_id)
    for key, ids in got.items():
        wanted = [action_id for action_id in order[key] if action_id in set(ids)]
        if list(dict.fromkeys(ids)) != wanted and set(ids) == set(wanted):
            verdict.counts["out of order at the gateway"] += 1


def _caps(shop: Shop, verdict: Verdict) -> None:
    """Count every window again, over what reached people, by the time it was decided."""
    by_user: dict[tuple[str, bool], dict[str, int]] = defaultdict(dict)
    for carried in shop.carried[shop.anew_from :]:
        known = carried.user_id, _forgotten(shop, carried)
        by_user[known][carried.action_id] = from_iso(carried.created_at)
    (policy, *_) = POLICIES.values()
    for (user, _), times in by_user.items():
        for now in times.values():
            for cap in policy.caps:
                held = sum(now - cap.window < at <= now for at in times.values())
                if held > cap.limit:
                    verdict.say("caps", f"{user} got {held} within {cap.name}")
    verdict.counts["carried"] += len(shop.carried)


def _forgotten(shop: Shop, carried: Carried) -> bool:
    """Return whether it was decided before the keys of its person's partition were emptied."""
    reborn = shop.rebirths.get(partition_of(carried.user_id.encode(), shop.plan.partitions))
    return reborn is not None and from_iso(carried.created_at) < reborn.at


__all__ = ["Verdict", "check"]
