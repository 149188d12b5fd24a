"""Each kind of violation, planted alone into what the real engine wrote, is found and nothing else.

The topics are bytes of a clean run; a test changes as few of them as make one thing wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from engine.events import Tick
from engine.times import DAY, HOUR, from_iso, iso
from monitoring.audit import terms
from monitoring.audit.state import unpack
from tests.support import audited
from tests.support.audited import Kept, Tape
from tests.support.running import shipped
from tests.support.traffic import START, traffic

_NIGHT = "America/New_York"  # where it is night while Shanghai has its morning and noon
_SHARE = "share = 0.05"
_FILE = shipped(replace={"margin = 0.3": "margin = 0.9"})


@pytest.fixture(scope="module")
def tape() -> Tape:
    return audited.record(traffic(6_000, users=450), _FILE.encode())


def test_a_clean_run_of_tens_of_thousands_of_events_has_no_violation() -> None:
    tape = audited.record(traffic(21_000, users=800), _FILE.encode())

    found = audited.audit(tape)

    assert found.clean, (found.findings[:3], found.faults[:3])
    assert sum(found.passed.values()) > 200
    assert sum(sums["closed"] for sums in found.triggers.values()) > 5_000


# --- actions --------------------------------------------------------------------------------------


def test_an_action_that_was_decided_and_never_written_is_missing(tape: Tape) -> None:
    lost = tape.first("actions.email").json["action_id"]

    found = audited.audit(_without(tape, "actions.email", lambda kept: _is(kept, lost)))

    assert found.verdicts == {"missing": 1}
    assert found.findings[0].action_id == lost


def test_an_action_that_is_late_by_less_than_a_minute_is_not_missing(tape: Tape) -> None:
    late = tape.first("actions.email").json["action_id"]

    def after(topic: str, kept: Kept) -> Iterable[Kept]:
        mine = topic == "actions.email" and _is(kept, late)
        yield replace(kept, at=kept.at + 50_000) if mine else kept

    assert audited.audit(tape.changed(after)).clean


def test_an_action_that_stands_twice_above_the_readers_rule_is_doubled(tape: Tape) -> None:
    partition, _, kept = next(iter(tape.of("actions.push")))
    above = replace(kept, position=b"99999999.1")

    found = audited.audit(_appended(tape, "actions.push", partition, above))

    assert found.verdicts == {"doubled": 1}


def test_a_repetition_that_readers_drop_is_nothing(tape: Tape) -> None:
    partition, _, kept = next(iter(tape.of("actions.push")))

    assert audited.audit(_appended(tape, "actions.push", partition, kept)).clean


def test_an_action_nobody_decided_is_undecided(tape: Tape) -> None:
    spoken = tape.first("decisions", lambda value: value["outcome"] == "send")
    partition = next(p for p, _, kept in tape.of("decisions") if kept == spoken)
    stray = tape.first("actions.email", lambda value: value["action_id"])
    # somebody who was never spoken to, agrees, and is in no holdout
    user = _silent(tape, partition)
    sent = replace(
        stray.but(action_id="stray", user_id=user), position=b"99999999.1", at=_end(tape) + HOUR
    )

    found = audited.audit(_appended(tape, "actions.email", partition, sent))

    assert found.verdicts["undecided"] == 1
    assert set(found.verdicts) <= {"undecided", "no_consent"}
    assert {finding.action_id for finding in found.findings} == {"stray"}


# --- the person -----------------------------------------------------------------------------------


def test_a_message_of_another_system_that_filled_the_cap_makes_ours_over_it(tape: Tape) -> None:
    action = tape.first("actions.email").json
    at = from_iso(action["delivery"]["created_at"]) - HOUR
    told = {"type": "sent_elsewhere", "channel": "sms", "campaign": "newsletter"}

    found = audited.audit(_told_before(tape, action, told, at))

    assert found.verdicts == {"over_cap": 1}
    assert found.findings[0].action_id == action["action_id"]
    assert found.findings[0].detail == "any-24h allows 1"


def test_a_message_that_was_refused_gives_its_place_back(tape: Tape) -> None:
    action = tape.first("actions.email").json
    at = from_iso(action["delivery"]["created_at"]) - HOUR
    sent = {"type": "sent_elsewhere", "channel": "sms", "event_id": "elsewhere"}
    refused = {"type": "outcome", "channel": "sms", "action_id": "elsewhere"}

    full = _told_before(tape, action, sent, at)
    room = _told_before(tape, action, refused | {"outcome": "rejected"}, at)
    room = _told_before(room, action, sent, at)  # each lies before those planted earlier
    full_again = _told_before(tape, action, refused | {"outcome": "delivered"}, at)
    full_again = _told_before(full_again, action, refused | {"outcome": "rejected"}, at)
    full_again = _told_before(full_again, action, sent, at)

    assert audited.audit(full).verdicts == {"over_cap": 1}
    assert audited.audit(room).clean
    assert audited.audit(full_again).verdicts == {"over_cap": 1}


def test_a_decision_at_night_where_she_is_is_in_quiet_hours(tape: Tape) -> None:
    action = tape.first("actions.email").json
    at = from_iso(action["delivery"]["created_at"]) - 1

    found = audited.audit(_told_before(tape, action, {"type": "identified", "zones": [_NIGHT]}, at))

    assert found.verdicts == {"quiet_hours": 1}


def test_a_message_to_somebody_who_took_her_consent_back_has_none(tape: Tape) -> None:
    action = tape.first("actions.email").json
    at = from_iso(action["delivery"]["created_at"]) - 1

    found = audited.audit(
        _told_before(tape, action, {"type": "consent_changed", "channel": "email"}, at)
    )

    assert found.verdicts == {"no_consent": 1}


def test_a_message_to_somebody_who_never_said_anything_has_no_consent(tape: Tape) -> None:
    action = tape.first("actions.email").json

    def unsaid(value: Any) -> bool:
        return bool(value["type"] == "consent_changed" and value["user_id"] == action["user_id"])

    found = audited.audit(_blanked(tape, unsaid))

    assert set(found.verdicts) == {"no_consent"}
    assert action["action_id"] in {finding.action_id for finding in found.findings}


def test_a_message_to_somebody_erased_has_no_consent(tape: Tape) -> None:
    action = tape.first("actions.email").json
    at = from_iso(action["delivery"]["created_at"]) - 1

    found = audited.audit(_told_before(tape, action, {"type": "erased"}, at))

    assert set(found.verdicts) == {"no_consent"}


def test_a_message_to_the_holdout_is_withheld(tape: Tape) -> None:
    everybody = _FILE.replace(_SHARE, "share = 1.0").encode()

    found = audited.audit(replace(tape, files=dict.fromkeys(tape.files, everybody)))

    assert set(found.verdicts) == {"withheld"}
    assert found.verdicts["withheld"] == _count(tape, "actions.push") + _count(
        tape, "actions.email"
    )
    assert not found.passed


# --- hand-over ------------------------------------------------------------------------------------


def test_a_hand_over_after_the_action_expired_is_found(tape: Tape) -> None:
    action = tape.first("actions.push").json
    at = from_iso(action["delivery"]["expires_at"]) + 1

    found = audited.audit(_reported(tape, action, occurred_at=iso(at)))

    assert found.verdicts == {"expired": 1}


def test_a_hand_over_at_night_is_in_quiet_hours(tape: Tape) -> None:
    action = tape.first("actions.email").json
    day = from_iso(action["delivery"]["created_at"]) // DAY * DAY

    found = audited.audit(_reported(tape, action, occurred_at=iso(day + 13 * HOUR)))  # 21:00

    assert found.verdicts == {"quiet_hours": 1}


@pytest.mark.parametrize(
    ("again", "doubled"),
    [
        ({"feedback_id": "another", "provider_code": "another"}, True),
        ({"feedback_id": "another"}, False),  # the gateway's own number is the same: told twice
        ({"provider_code": "another"}, False),  # our own id is the same: told twice
        ({"provider_code": "another", "provider": "console", "occurred_at": "later"}, True),
    ],
)
def test_two_hand_overs_of_one_action_are_doubled(
    tape: Tape, again: dict[str, str], doubled: bool
) -> None:
    kept = tape.first("feedback")
    if "occurred_at" in again:
        again = again | {"occurred_at": iso(from_iso(kept.json["occurred_at"]) + 1)}
    partition = next(p for p, _, each in tape.of("feedback") if each == kept)

    found = audited.audit(_appended(tape, "feedback", partition, kept.but(**again)))

    assert found.verdicts == ({"doubled": 1} if doubled else {})


# --- triggers -------------------------------------------------------------------------------------


def test_a_trigger_whose_last_decision_is_lost_is_long_due(tape: Tape) -> None:
    closed = [kept for _, _, kept in tape.of("decisions") if _is_last_word(kept.json)][-1]

    found = audited.audit(_without(tape, "decisions", lambda kept: kept == closed))

    assert [fault.why for fault in found.faults] == ["is long due and never spoke"]
    assert not found.findings
    sums = found.triggers["cart"]
    assert (sums["unbalanced"], sums["armed"]) == (1, sums["closed"] + sums["open"])


def _is_last_word(value: Any) -> bool:
    """Whether it closes the cart of somebody of whom nothing is heard any more."""
    return bool(value["campaign"] == "cart" and value["outcome"] == "suppress")


def test_a_trigger_that_ends_twice_is_found(tape: Tape) -> None:
    partition, _, kept = next(
        found for found in tape.of("decisions") if found[2].json["outcome"] == "disarm"
    )
    last = len(tape.topics["events", partition]) - 1
    again = replace(kept, position=f"{last}.999".encode())

    found = audited.audit(_appended(tape, "decisions", partition, again))

    assert [fault.why for fault in found.faults] == ["ended twice"]


def test_a_decision_whose_cause_is_nowhere_holds_nobody_up(tape: Tape) -> None:
    partition, index, kept = next(iter(tape.of("decisions")))
    records = list(tape.topics["decisions", partition])
    records.insert(index, replace(kept, position=b"99999999.1"))

    found = audited.audit(replace(tape, topics=tape.topics | {("decisions", partition): records}))

    assert found.unreadable == 1
    assert not found.findings
    assert not found.faults


def test_a_deferral_that_is_lost_shows_in_the_next_attempt() -> None:
    evening = START + 10 * HOUR
    morning = [Tick(now=evening + step * HOUR, origin="loader") for step in range(8, 16)]
    tape = audited.record([*traffic(4_000, users=300, start=evening), *morning], _FILE.encode())
    assert audited.audit(tape).clean
    later = tape.first("decisions", lambda value: value["attempt"] > 0)
    name = later.json["trigger"]

    def deferral(kept: Kept) -> bool:
        return bool(kept.json["trigger"] == name and kept.json["outcome"] == "defer")

    found = audited.audit(_without(tape, "decisions", deferral))

    assert "attempt 1 without the one before" in {fault.why for fault in found.faults}
    # and all night long it seemed to be forgotten
    assert {fault.why.split()[0] for fault in found.faults} <= {"attempt", "is"}


# --- what it does not know ------------------------------------------------------------------------


def test_where_the_log_lost_its_beginning_what_was_said_there_is_held_against_nobody(
    tape: Tape,
) -> None:
    first = {p: len(tape.topics["events", p]) // 2 for p in range(tape.partitions)}
    found, passed, unjudged = Counter[str](), 0, 0
    for partition in range(tape.partitions):
        lane = audited.a_lane(tape, partition)
        lane.state.whole = False
        lane.state.campaigns = next(iter(tape.files))
        lane.state.after["events"] = lane.state.applied = first[partition]
        findings = audited.follow(lane, tape)
        found.update(finding.verdict for finding in findings)
        passed += lane.passed.total()
        unjudged += lane.unjudged

    assert found == {}
    assert unjudged > 0
    assert passed + unjudged == sum(
        _count(tape, f"actions.{channel}") for channel in audited.CHANNELS
    )


def test_where_the_log_was_moved_what_was_said_before_is_not_known_and_not_right(
    tape: Tape,
) -> None:
    moved = _blanked(_moved(tape), lambda value: value["type"] == "consent_changed")

    found = audited.audit(moved)

    assert not found.findings
    assert not found.passed
    assert found.unjudged == sum(_count(tape, f"actions.{name}") for name in audited.CHANNELS)


def test_where_the_log_was_moved_who_says_no_in_it_is_heard(tape: Tape) -> None:
    action = tape.first("actions.email").json
    at = from_iso(action["delivery"]["created_at"]) - 1
    no = {"type": "consent_changed", "channel": "email"}

    found = audited.audit(_moved(_told_before(tape, action, no, at)))

    assert found.verdicts == {"no_consent": 1}


def test_where_the_log_was_moved_it_is_night_for_nobody_whose_zone_is_not_known(
    tape: Tape,
) -> None:
    action = tape.first("actions.email").json
    day = from_iso(action["delivery"]["created_at"]) // DAY * DAY
    late = _reported(tape, action, occurred_at=iso(day + 13 * HOUR))  # 21:00 where the shop is
    silent = _blanked(late, lambda value: value["type"] == "identified")

    assert audited.audit(silent).verdicts == {"quiet_hours": 1}
    assert not audited.audit(_moved(silent)).findings


def test_where_the_log_was_moved_a_visitor_without_a_name_still_cannot_have_agreed(
    tape: Tape,
) -> None:
    action = tape.first("actions.email").json
    visitor = f"anon:{action['user_id']}"

    def renamed(topic: str, kept: Kept) -> Iterator[Kept]:
        mine = topic in ("decisions", "actions.email") and _is(kept, action["action_id"])
        yield kept.but(user_id=visitor) if mine else kept

    found = audited.audit(_moved(tape).changed(renamed))

    assert found.verdicts == {"no_consent": 1}


def test_a_missing_campaigns_file_is_waited_for(tape: Tape) -> None:
    files, tape = tape.files, replace(tape, files={})
    lane = audited.a_lane(tape, 0)
    audited.begin(lane, tape, 1_000)

    assert lane.waits_for == next(iter(files))
    assert not lane.passed

    lane = audited.a_lane(replace(tape, files=files), 0, unpack(lane.snapshot()))
    assert audited.follow(lane, tape) == []
    assert lane.passed


def test_a_record_that_cannot_be_read_is_counted_and_passed_by(tape: Tape) -> None:
    broken = Kept(_end(tape), b"99999999.1", b"{")
    for topic in ("events", "decisions", "actions.push"):
        assert audited.audit(_appended(tape, topic, 0, broken)).unreadable == 1


def test_three_ticks_of_one_live_worker_settle_what_came_before_them(tape: Tape) -> None:
    lane = audited.a_lane(tape, 0)
    lane.state.campaigns = next(iter(tape.files))
    at = START

    def tick(offset: int, origin: str) -> None:
        value = f'{{"type":"tick","now":{at + offset},"limit":500,"origin":"{origin}"}}'
        lane.arrivals.event(offset, at + offset, value.encode())

    said = b'{"type":"consent_changed","user_id":"u","event_id":"e","occurred_at":1,"granted":true}'
    lane.arrivals.event(0, at, said)
    for offset, origin in enumerate(["one", "two", "two"], 1):
        tick(offset, origin)
    lane.work()
    assert not lane.state.people

    tick(4, "two")
    lane.work()
    assert lane.state.people["u"].agrees("push")
    assert lane.state.now == at + 1


# --- tampering ------------------------------------------------------------------------------------


def _without(tape: Tape, where: str, which: Callable[[Kept], bool]) -> Tape:
    return tape.changed(lambda topic, kept: [] if topic == where and which(kept) else [kept])


def _appended(tape: Tape, topic: str, partition: int, kept: Kept) -> Tape:
    topics = {place: list(records) for place, records in tape.topics.items()}
    topics.setdefault((topic, partition), []).append(kept)
    return replace(tape, topics=topics)


def _told_before(tape: Tape, action: dict[str, Any], told: dict[str, Any], at: int) -> Tape:
    """Put an event of her in the place of some product view that lies before the decision."""
    cause, partition = _cause(tape, action)
    log = list(tape.topics["events", partition])
    index = max(
        index for index, kept in enumerate(log[:cause]) if kept.json["type"] == "product_viewed"
    )
    event = {"event_id": f"planted-{at}-{index}", "user_id": action["user_id"]}
    event |= {"occurred_at": at, "received_at": at} | told
    log[index] = replace(log[index], value=_json(event))
    return replace(tape, topics=tape.topics | {("events", partition): log})


def _blanked(tape: Tape, which: Callable[[Any], bool]) -> Tape:
    """Make events nobody's sign of life; offsets stay what they were."""

    def change(topic: str, kept: Kept) -> Iterator[Kept]:
        hers = topic == "events" and which(kept.json)
        yield kept.but(type="active") if hers else kept

    return tape.changed(change)


def _moved(tape: Tape) -> Tape:
    """Let every partition begin as `rekindle move` lets it."""

    def change(topic: str, kept: Kept) -> Iterator[Kept]:
        settings = topic == "events" and kept.json["type"] == "settings"
        yield kept.but(origin="move") if settings else kept

    return tape.changed(change)


def _reported(tape: Tape, action: dict[str, Any], **changes: Any) -> Tape:
    def change(topic: str, kept: Kept) -> Iterator[Kept]:
        yield (
            kept.but(**changes) if topic == "feedback" and _is(kept, action["action_id"]) else kept
        )

    return tape.changed(change)


def _cause(tape: Tape, action: dict[str, Any]) -> tuple[int, int]:
    for partition, _, kept in tape.of(f"actions.{action['channel']}"):
        if _is(kept, action["action_id"]):
            assert kept.position is not None
            return int(kept.position.split(b".")[0]), partition
    raise AssertionError(action)


def _silent(tape: Tape, partition: int) -> str:
    """Return somebody of a partition who agrees to e-mail and was never spoken to."""
    spoken = {kept.json["user_id"] for _, _, kept in tape.of("decisions") if kept.json["action_id"]}
    held = {sha: terms.read(content) for sha, content in tape.files.items()}
    (file,) = held.values()
    for kept in tape.topics["events", partition]:
        value = kept.json
        agrees = value["type"] == "consent_changed" and value.get("granted")
        if not agrees or value["channel"] != "email" or value["user_id"] in spoken:
            continue
        if not file.withholds(value["user_id"]):
            return str(value["user_id"])
    raise AssertionError("everybody was spoken to")


def _is(kept: Kept, action_id: str) -> bool:
    return bool(kept.json["action_id"] == action_id)


def _end(tape: Tape) -> int:
    return max(kept.at for records in tape.topics.values() for kept in records)


def _count(tape: Tape, topic: str) -> int:
    return sum(1 for _ in tape.of(topic))


def _json(value: Any) -> bytes:
    return Kept(0, None, b"{}").but(**value).value


def test_the_name_of_a_file_is_its_hash(tape: Tape) -> None:
    (name,) = tape.files
    assert name == sha256(_FILE.encode()).hexdigest()
