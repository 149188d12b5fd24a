"""Every check notices what it is for: a violation of each kind is sown, and counted once."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from engine import events as ev
from engine.actions import Action
from engine.decisions import Decision
from engine.events import Position
from engine.policy import Cap
from engine.ports import OutboxId
from engine.profile import Profile, Trigger
from engine.profile import encode as encode_profile
from engine.times import SECOND, iso
from streams.log import codec
from streams.sources import parser
from tests.faults.checker import caps, handovers, intake, knowledge, outputs, stored
from tests.faults.checker.expected import Expected, Notes, expect
from tests.faults.checker.findings import BROKEN, Findings
from tests.faults.checker.intake import Taken, Told
from tests.faults.world.plan import GatewayCall, Read
from tests.support.builders import a_policy

AT = 1_767_229_200_000
RAW = "shop.events.raw"


@pytest.fixture
def findings() -> Findings:
    return Findings()


def viewed(number: int, *, user: str = "u1", at: int | None = None) -> ev.ProductViewed:
    return ev.ProductViewed(
        event_id=f"e{number}",
        user_id=user,
        occurred_at=AT + number,
        received_at=AT + number if at is None else at,
        source=Position(RAW, 0, 0, number),
        product_id="p1",
    )


def told_of(*events: ev.Event) -> Told:
    told = Told()
    for event in events:
        origin = intake.origin_of(event)
        told.events[origin] = event
        told.appended[origin.topic, origin.partition, origin.offset] = event.received_at
    return told


def log_of(*records: ev.Record) -> list[Read]:
    return [
        Read("events", 0, offset, AT, None, codec.write(record), ())
        for offset, record in enumerate(records)
    ]


def output(at: str, value: bytes) -> Read:
    return Read("decisions", 0, 0, AT, b"u1", value, (("v", b"1"), ("x-pos", at.encode())))


# --- intake -------------------------------------------------------------------------------------


def test_what_arrived_as_it_was_sent_is_kept(findings: Findings) -> None:
    events = viewed(0), viewed(1)
    tick = ev.Tick(now=AT, limit=500, origin="w")
    taken = intake.match(log_of(events[0], tick, events[1]), told_of(*events), findings)
    assert [each.record for each in taken] == [events[0], tick, events[1]]
    assert not findings.broken
    assert findings.counts["events"] == 2


def test_a_run_that_intake_repeats_is_told_and_left_out(findings: Findings) -> None:
    events = viewed(0), viewed(1)
    taken = intake.match(log_of(*events, *events), told_of(*events), findings)
    assert [each.offset for each in taken] == [0, 1]
    assert findings.counts["events_repeated"] == 2
    assert not findings.broken


def test_a_lost_event_is_noticed(findings: Findings) -> None:
    intake.match(log_of(viewed(0)), told_of(viewed(0), viewed(1)), findings)
    assert findings.broken == {"events_lost": 1}


def test_an_invented_event_is_noticed(findings: Findings) -> None:
    intake.match(log_of(viewed(0), viewed(1)), told_of(viewed(0)), findings)
    assert findings.broken == {"events_unsent": 1}


def test_an_event_without_source_is_invented(findings: Findings) -> None:
    bare = msgspec.structs.replace(viewed(0), source=None)
    intake.match(log_of(bare), Told(), findings)
    assert findings.broken == {"events_unsent": 1}


def test_an_altered_event_is_noticed(findings: Findings) -> None:
    altered = msgspec.structs.replace(viewed(0), product_id="p2")
    intake.match(log_of(altered), told_of(viewed(0)), findings)
    assert findings.broken == {"events_altered": 1}


def test_events_that_overtake_are_noticed(findings: Findings) -> None:
    events = viewed(0), viewed(1)
    intake.match(log_of(events[1], events[0]), told_of(*events), findings)
    assert findings.broken == {"events_reordered": 1}


def test_different_people_may_overtake_each_other(findings: Findings) -> None:
    events = viewed(0), viewed(1, user="u2")
    intake.match(log_of(events[1], events[0]), told_of(*events), findings)
    assert not findings.broken


def test_what_kafka_acknowledged_and_lost_is_noticed(findings: Findings) -> None:
    raw = [Read(RAW, 0, 0, AT, b"u1", b"{}", ())]
    one = intake.digest(b"u1", b"{}")
    intake.kept({0: one, 1: one}, raw, findings)
    assert findings.broken == {"sent_not_kept": 1}
    assert intake.digest(b"u1", b"{}") != intake.digest(b"u", b"1{}")


def letter(offset: int, reason: str = "not_json") -> Read:
    headers = (
        ("reason", reason.encode()),
        ("topic", RAW.encode()),
        ("partition", b"0"),
        ("offset", str(offset).encode()),
    )
    return Read("dead-letters", 0, 0, AT, None, b"?", headers)


@pytest.mark.parametrize(
    ("found", "broken"),
    [
        ([letter(1)], {}),
        ([letter(1), letter(1)], {}),
        ([], {"letters_lost": 1}),
        ([letter(1), letter(2)], {"letters_unexpected": 1}),
        ([letter(1, "oversize")], {"letters_unexpected": 1}),
    ],
)
def test_dead_letters_are_those_of_what_cannot_be_read(
    found: list[Read], broken: Mapping[str, int], findings: Findings
) -> None:
    intake.letters(found, {(RAW, 0, 1): "not_json"}, findings)
    assert findings.broken == broken


def test_what_cannot_be_parsed_is_known_to_be_unreadable() -> None:
    told = Told()
    records = [Read(RAW, 0, 7, AT, b"u1", b"\xff", ())]
    told.read(RAW, records, parser("segment"), lambda user: True)
    assert list(told.unreadable) == [(RAW, 0, 7)]
    assert not told.events


# --- decisions and actions ----------------------------------------------------------------------


def test_readers_drop_exact_repeats_and_count_them(findings: Findings) -> None:
    records = [output("3.1", b"a"), output("3.2", b"b"), output("3.1", b"a"), output("4.1", b"c")]
    kept = outputs.readers_rule(records, findings)
    assert kept == [(OutboxId(3, 1), b"a"), (OutboxId(3, 2), b"b"), (OutboxId(4, 1), b"c")]
    assert findings.counts["doubled_in_log"] == 1
    assert not findings.broken


def test_a_repeat_with_another_content_is_noticed(findings: Findings) -> None:
    outputs.readers_rule([output("3.1", b"a"), output("3.1", b"b")], findings)
    assert findings.broken == {"doubles_unexplained": 1}


def test_a_record_that_readers_would_never_see_is_noticed(findings: Findings) -> None:
    outputs.readers_rule([output("3.2", b"a"), output("3.1", b"b")], findings)
    assert findings.broken == {"outputs_reordered": 1}


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ([(OutboxId(1, 1), b"a")], "outputs_lost"),
        ([(OutboxId(1, 1), b"a"), (OutboxId(1, 2), b"x")], "outputs_altered"),
        (
            [(OutboxId(1, 1), b"a"), (OutboxId(1, 2), b"b"), (OutboxId(2, 1), b"c")],
            "outputs_unexpected",
        ),
    ],
)
def test_outputs_that_differ_from_the_expected_ones_are_noticed(
    there: list[outputs.Entry], name: str, findings: Findings
) -> None:
    wanted = [(OutboxId(1, 1), b"a"), (OutboxId(1, 2), b"b")]
    outputs.compare("decisions/0", there, wanted, findings)
    assert findings.broken == {name: 1}


def test_an_id_that_stands_twice_is_noticed(findings: Findings) -> None:
    outputs.distinct(["a", "b", "a"], findings)
    assert findings.broken == {"doubled_after_rule": 1}


# --- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "name"),
    [
        (stored.Stored(9, {"u1": b"x"}, {"u1": b"a"}, {"u1": 5}), "heads_differing"),
        (stored.Stored(10, {"u1": b"y"}, {"u1": b"a"}, {"u1": 5}), "profiles_differing"),
        (stored.Stored(10, {"u1": b"x"}, {}, {"u1": 5}), "addresses_differing"),
        (stored.Stored(10, {"u1": b"x"}, {"u1": b"a"}, {"u1": 5, "u2": 6}), "wakes_differing"),
    ],
)
def test_a_state_that_differs_is_noticed(
    there: stored.Stored, name: str, findings: Findings
) -> None:
    wanted = Notes({"u1": b"x"}, {"u1": b"a"}, {"u1": 5})
    stored.compare(0, there, wanted, 10, findings)
    assert findings.broken == {name: 1}


def test_the_notes_order_who_is_due() -> None:
    notes = Notes()
    notes.wake("u2", 5)
    notes.wake("u1", 5)
    notes.wake("u3", 7)
    notes.wake("u2", 9)
    assert asyncio.run(notes.due(0, 7, 0)) == ["u1", "u3"]
    assert asyncio.run(notes.due(0, 9, 2)) == ["u1", "u3"]
    notes.wake("u1", 0)
    assert asyncio.run(notes.due(0, 9, 0)) == ["u3", "u2"]


# --- hand-overs ---------------------------------------------------------------------------------


def call(action_id: str = "a1", *, carried: bool = True, channel: str = "sms") -> GatewayCall:
    return GatewayCall(action_id, channel, AT, 200, carried, False, "{}")


def reported(outcome: str, action_id: str = "a1", feedback_id: str = "f") -> bytes:
    told = {"feedback_id": feedback_id + outcome, "action_id": action_id, "type": outcome}
    return msgspec.json.encode(told)


@pytest.mark.parametrize(
    ("calls", "reports", "broken"),
    [
        ([call()], ["accepted"], {}),
        ([call()], ["unknown"], {}),
        ([], ["unknown"], {}),
        ([], ["cancelled"], {}),
        ([call()], ["accepted", "delivered", "unknown"], {}),
        ([], [], {"hand_overs_lost": 1}),
        ([call()], ["delivered"], {"hand_overs_lost": 1}),
        ([call()], ["expired"], {"hand_overs_untrue": 1}),
        ([call(carried=False)], ["accepted"], {"hand_overs_untrue": 1}),
        ([call(), call()], ["accepted"], {"doubled_at_gateway": 1}),
        ([call(), call("a9")], ["accepted"], {"calls_undecided": 1}),
    ],
)
def test_every_action_is_accounted_once(
    calls: list[GatewayCall],
    reports: list[str],
    broken: Mapping[str, int],
    findings: Findings,
    action: Action,
) -> None:
    values = [reported(outcome) for outcome in reports]
    handovers.account({"a1": action}, calls, values, findings)
    assert findings.broken == broken


def test_one_episode_said_under_two_ids_is_noticed(findings: Findings, action: Action) -> None:
    actions = {"a1": action, "a2": msgspec.structs.replace(action, action_id="a2")}
    reports = [reported("accepted"), reported("accepted", "a2", "g")]
    handovers.account(actions, [call(), call("a2")], reports, findings)
    assert findings.broken == {"doubled_at_gateway": 1}


# --- what was known -----------------------------------------------------------------------------


def test_a_decision_on_old_knowledge_is_noticed(findings: Findings) -> None:
    tick = Taken(5, ev.Tick(now=AT + 10 * SECOND), AT + 10 * SECOND)
    late = viewed(1, at=AT + 4 * SECOND)
    told = told_of(late)
    decided = [(OutboxId(5, 1), "u1")]
    knowledge.stale([tick, Taken(6, late, AT)], told.appended, decided, findings)
    assert findings.broken == {"stale_decisions": 1}


@pytest.mark.parametrize(("offset", "at"), [(4, AT + 4 * SECOND), (6, AT + 6 * SECOND)])
def test_knowledge_five_seconds_old_is_no_fault(offset: int, at: int, findings: Findings) -> None:
    tick = Taken(5, ev.Tick(now=AT + 10 * SECOND), AT + 10 * SECOND)
    event = viewed(1, at=at)
    told = told_of(event)
    knowledge.stale(
        [tick, Taken(offset, event, at)], told.appended, [(OutboxId(5, 1), "u1")], findings
    )
    assert findings.counts["decided_by_ticks"] == 1
    assert not findings.broken


def _cart(order_at: int, *, offset: int) -> list[Taken]:
    line = ev.Line("p1", 1, 9.0, "Shoe", "CNY")
    added = ev.ProductAdded(event_id="a", user_id="u1", occurred_at=AT, received_at=AT, line=line)
    order = ev.OrderCompleted(
        event_id="o",
        user_id="u1",
        occurred_at=order_at,
        received_at=AT,
        order_id="o1",
        lines=[line],
    )
    tick = ev.Tick(now=AT + SECOND)
    log = [Taken(0, added, AT), Taken(offset, order, AT), Taken(5, tick, AT)]
    return sorted(log, key=lambda taken: taken.offset)


def test_what_was_put_in_before_an_order_was_told_again_is_not_bought(
    findings: Findings, action: Action
) -> None:
    added, order, tick = _cart(AT - 1, offset=1)
    again = msgspec.structs.replace(order.record, occurred_at=AT + 1)
    log = [Taken(0, order.record, AT), Taken(1, added.record, AT), Taken(2, again, AT), tick]
    knowledge.bought(log, [(OutboxId(5, 2), action)], findings)
    assert findings.counts["reminders"] == 1
    assert not findings.broken


@pytest.mark.parametrize(
    ("order_at", "offset", "broken"),
    [
        (AT + 1, 1, {"bought_before_reminder": 1}),
        (AT + 1, 9, {}),  # the order came after the tick
        (AT - 1, 1, {}),  # and here she put it in anew after an order
    ],
)
def test_a_reminder_of_what_was_bought_is_noticed(
    order_at: int, offset: int, broken: Mapping[str, int], findings: Findings, action: Action
) -> None:
    log = _cart(order_at, offset=offset)
    knowledge.bought(log, [(OutboxId(5, 2), action)], findings)
    assert findings.counts["reminders"] == 1
    assert findings.broken == broken


# --- all ----------------------------------------------------------------------------------------


@pytest.fixture
def action() -> Action:
    made: dict[str, Any] = {
        "action_id": "a1",
        "channel": "sms",
        "user_id": "u1",
        "decision_id": "d1",
        "campaign": {"id": "cart", "version": 1},
        "trigger": {
            "kind": "cart_abandonment",
            "key": "",
            "episode": "1",
            "armed_at": iso(AT),
            "due_at": iso(AT),
        },
        "to": {"address": "+1", "address_hash": "", "locale": "", "timezone": ""},
        "content": {
            "template": "t",
            "items": [{"product_id": "p1", "name": "Shoe", "price": "9.00"}],
        },
        "delivery": {
            "created_at": iso(AT),
            "expires_at": iso(AT),
            "collapse_key": "",
            "quiet": {"tz": "", "from": "", "to": ""},
        },
        "consent": {"basis": "", "source": ""},
    }
    return msgspec.convert(made, Action)


def test_findings_add_up_and_keep_the_first_cases() -> None:
    sum_of = Findings()
    for number in range(10):
        one = Findings()
        one.broke("events_lost", number)
        one.tell("events", 3)
        sum_of.add(one)
    assert sum_of.broken == {"events_lost": 10}
    assert sum_of.counts["events"] == 30
    assert sum_of.cases["events_lost"] == ["0", "1", "2", "3", "4"]


def test_nothing_can_be_broken_that_has_no_words() -> None:
    with pytest.raises(AssertionError):
        Findings().broke("no such promise", "")
    assert all(BROKEN.values())


def test_a_log_without_settings_folds_and_decides_nothing() -> None:
    taken = [Taken(0, viewed(0), AT), Taken(1, ev.Tick(now=AT + SECOND, limit=500), AT)]
    expected: Expected = asyncio.run(expect(0, taken, {}))
    assert list(expected.state.profiles) == ["u1"]
    assert not expected.outputs


# --- episodes and caps --------------------------------------------------------------------------


def decided(pos: str, *, outcome: str = "send", reason: str = "sent") -> Decision:
    made = {
        "decision_id": f"d{pos}",
        "pos": pos,
        "at": iso(AT),
        "user_id": "u1",
        "campaign": "cart",
        "campaign_version": 1,
        "trigger": {
            "kind": "cart_abandonment",
            "key": "",
            "episode": "1",
            "armed_at": iso(AT),
            "due_at": iso(AT),
        },
        "attempt": 0,
        "outcome": outcome,
        "reason": reason,
        "channel": "push",
        "action_id": f"a{pos}" if outcome == "send" else None,
    }
    return msgspec.convert(made, Decision)


@pytest.mark.parametrize(
    ("made", "armed", "broken"),
    [
        ([decided("1.1")], 1, {}),
        ([decided("1.1", outcome="defer"), decided("2.1")], 1, {}),
        ([decided("1.1"), decided("2.1")], 2, {"closed_twice": 1}),
        ([decided("1.1")], 2, {"armed_unaccounted": 1}),
    ],
)
def test_every_armed_trigger_ends_once(
    made: list[Decision], armed: int, broken: Mapping[str, int], findings: Findings
) -> None:
    outputs.closings(made, {}, {"cart": armed}, findings)
    assert findings.broken == broken


def test_an_episode_closed_and_still_open_is_noticed(findings: Findings) -> None:
    still = Trigger(
        campaign="cart",
        kind="cart_abandonment",
        key="",
        episode="1",
        armed_at=AT,
        edited_at=AT,
        told_at=AT,
        due_at=AT,
        wake_at=AT,
    )
    packed = encode_profile(Profile(triggers=[still]))
    outputs.closings([decided("1.1")], {"u1": packed}, {"cart": 2}, findings)
    assert findings.broken == {"closed_twice": 1}


@pytest.mark.parametrize(("apart", "broken"), [(10, {"cap_violations": 1}), (70, {})])
def test_a_message_beyond_a_cap_is_noticed(
    apart: int, broken: Mapping[str, int], findings: Findings
) -> None:
    cap = Cap(name="one a minute", kind="rolling", window=60 * SECOND, limit=1)
    ticks = [Taken(n, ev.Tick(now=AT + n * apart * SECOND), AT) for n in (1, 2)]
    caps.recount(ticks, [decided("1.1"), decided("2.1")], a_policy(caps=(cap,)), findings)
    assert findings.counts["charged"] == 2
    assert findings.broken == broken
