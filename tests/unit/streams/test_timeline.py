"""Why she did or did not hear is told as it was: her events, what they armed, what was decided."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import count
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from engine.decisions import Decision
from engine.errors import Refused
from engine.events import Line, Record, SettingsRecord, Tick
from engine.times import DAY, HOUR, MINUTE, from_iso
from streams.cli import main
from streams.log import codec
from streams.timeline import sources
from streams.timeline.life import Armed, Decided, Life
from streams.timeline.page import Page, since
from tests.support.builders import Told
from tests.support.recorded import a_replay, a_run, artefact_name, live

# A Tuesday, 9 o'clock in Shanghai.
MORNING = from_iso("2026-10-06T01:00:00Z")
BEANS = Line("p-1", 1, 96.0, "Coffee beans 500 g", "CNY")
TIMES, MINUS = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"
KETTLE = Line("p-2", 1, 168.0, "Pour-over kettle", "CNY")


def rekindle(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="rekindle")


class Diary:
    """Writes the log of a small shop: minutes after the morning, and a tick every quarter hour."""

    def __init__(self) -> None:
        self._records: list[tuple[int, int, Record]] = []
        self._numbers = count(1)
        self._ids = count(1)

    def at(
        self, minute: float, user: str = "u-1", *, after: float = 0, imported: bool = False
    ) -> Told:
        """Build an event of ``minute`` that reaches us ``after`` so many minutes."""
        when = MORNING + round(minute * MINUTE)
        return Told(user, when, when + round(after * MINUTE), imported, numbers=self._ids)

    def write(self, *records: Record) -> None:
        for record in records:
            arrived = record.now if isinstance(record, Tick) else getattr(record, "received_at", 0)
            self._records.append((arrived, next(self._numbers), record))

    def settle(self, minute: float, record: SettingsRecord) -> None:
        self._records.append((MORNING + round(minute * MINUTE), next(self._numbers), record))

    def records(self, hours: int) -> Iterator[Record]:
        """Yield the log in order of arrival, with its ticks."""
        ticks: list[tuple[int, int, Record]] = [
            (now, 0, Tick(now=now, origin="test"))
            for now in range(MORNING, MORNING + hours * HOUR + 1, 15 * MINUTE)
        ]
        for _, _, record in sorted([*self._records, *ticks], key=lambda entry: entry[:2]):
            yield record


def her_day() -> Diary:
    """Her morning looking around, a reminder, a click, an order, and somebody who names things."""
    diary = Diary()
    diary.write(diary.at(0).identified(addresses={"push": "token-1"}))
    diary.write(diary.at(0).consented("push"))
    diary.write(diary.at(0).consented("email", granted=False))
    for minute, product in enumerate(("p-1", "p-2", "p-1", "p-9")):
        diary.write(diary.at(10 + 3 * minute).viewed(product))
    diary.write(diary.at(21).searched())
    diary.write(diary.at(5, "u-2").cart(lines=[KETTLE]))
    diary.write(diary.at(80).viewed("p-2"))
    added = msgspec.structs.replace(diary.at(82).added(cart="c-7"), line=BEANS)
    diary.write(added)
    again = msgspec.structs.replace(diary.at(84).added(cart="c-7"), line=KETTLE)
    diary.write(again)
    action = _action_of_the_cart(diary)
    diary.write(diary.at(151).outcome(action, "accepted"))
    diary.write(diary.at(151).outcome(action, "delivered"))
    diary.write(diary.at(160).outcome(action, "opened"))
    diary.write(diary.at(161).outcome(action, "clicked"))
    diary.write(diary.at(170, after=20).ordered(lines=[BEANS, KETTLE], cart="c-7"))
    return diary


def _action_of_the_cart(diary: Diary) -> str:
    """Return the id the engine gives to the reminder, by deciding about the day so far."""
    life = _decided_anew(list(diary.records(4)))
    (sent,) = [one for one in _decisions(life) if one.outcome == "send"]
    assert sent.action_id is not None
    return sent.action_id


def _decided_anew(records: Sequence[Record]) -> Life:
    with tempfile.TemporaryDirectory() as folder:
        run = a_run(Path(folder), records, live(), decided=False)
        return asyncio.run(sources.of_path(run, "u-1"))


def _decisions(life: Life) -> list[Decision]:
    return [moment.decision for moment in life.moments if isinstance(moment, Decided)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_run(tmp_path_factory.mktemp("run"), her_day().records(12), live())


def life_in(folder: Path, user: str = "u-1") -> Life:
    return asyncio.run(sources.of_path(folder, user))


def text_of(life: Life, *of: str) -> str:
    return "\n".join(Page(life, since(of[0]) if of else None).lines())


# --- one day ------------------------------------------------------------------------------------

HER_DAY = f"""\
u-1: times in Asia/Shanghai (her zone)

Tue 6 Oct 2026
  09:00  was identified: reachable by push, zone Asia/Shanghai, language zh-CN
  09:00  allowed marketing by push, forbade marketing by e-mail
  09:10  viewed 3 products, searched (until 09:21)
  10:20  viewed Pour-over kettle
  10:22  put Coffee beans 500 g into her cart (96 CNY)
  10:22  armed for c-7: cart, due 11:22
  10:24  put Pour-over kettle into her cart (168 CNY)
  10:24  moved for c-7: cart, now due 11:24
  11:30  cart c-7: sent by push: 0.9 % more orders {TIMES} 79.20 CNY {MINUS} 0.05 patience =
         0.66 CNY
         caps then: any-24h 0 of 1, any-7d 0 of 3, sms-7d 0 of 1
  11:31  push of cart: taken by the gateway, delivered
  11:40  push of cart: opened
  11:41  push of cart: clicked
  12:10  ordered 2 things for 264 CNY (at 11:50; it reached us only now)
  12:10  armed for o-1: post-purchase-7d, due Tue 13 Oct 11:50;
         post-purchase-30d, due Thu 5 Nov 11:50

Still armed: post-purchase-7d o-1, due Tue 13 Oct 11:50.
Still armed: post-purchase-30d o-1, due Thu 5 Nov 11:50.
"""


def test_her_day_reads_like_this(run: Path) -> None:
    assert text_of(life_in(run)) + "\n" == HER_DAY


def test_the_caps_and_the_arithmetic_are_those_of_the_record(run: Path) -> None:
    (sent,) = [one for one in _decisions(life_in(run)) if one.outcome == "send"]

    said = text_of(life_in(run))
    assert ", ".join(f"{cap.name} {cap.used} of {cap.limit}" for cap in sent.caps) in said
    assert "= 0.66 CNY" in " ".join(said.split())
    assert sent.channels["push"].worth == pytest.approx(0.66, abs=0.005)


def test_addresses_never_appear(tmp_path: Path) -> None:
    diary = Diary()
    everywhere = {"push": "token-9", "email": "lin@example.org", "sms": "+8613800000000"}
    diary.write(diary.at(0).identified(addresses=everywhere))
    diary.write(diary.at(1).outcome("a-1", "bounced", "email", permanent=True, reason="550 lin@"))
    life = life_in(a_run(tmp_path, diary.records(1), live()))

    page = Page(life)
    for said in (text_of(life), json.dumps(page.as_json())):
        assert "reachable by e-mail, push, SMS" in said
        assert "bounced for good" in said
        assert not any(part in said for part in ("token-9", "lin@", "138000"))


def test_why_it_was_stopped_at_hand_over_is_told_in_our_words_alone(tmp_path: Path) -> None:
    diary = Diary()
    diary.write(diary.at(0).identified(addresses={"push": "token-9"}))
    diary.write(diary.at(1).outcome("a-1", "cancelled", reason="out_of_stock"))
    diary.write(diary.at(2).outcome("a-2", "cancelled", reason="no more of lin@example.org"))
    said = text_of(life_in(a_run(tmp_path, diary.records(1), live())))

    assert "push: cancelled at hand-over: what it speaks of is sold out" in said
    assert said.count("cancelled") == 2
    assert "lin@" not in said


def test_many_edits_of_a_cart_leave_its_first_and_its_last_time(tmp_path: Path) -> None:
    diary = Diary()
    for minute in range(0, 50, 5):
        diary.write(diary.at(minute).added(f"p-{minute}", cart="c-1"))
    said = text_of(life_in(a_run(tmp_path, diary.records(1), live())))

    assert said.count("armed for c-1") == 1
    assert said.count("moved for c-1: cart, now due 10:45") == 1
    assert said.count("moved") == 1
    assert said.count("into her cart") == 10


def test_a_move_that_came_to_nothing_is_not_told(tmp_path: Path) -> None:
    diary = Diary()
    diary.write(diary.at(0).added("p-1", cart="c-1"), diary.at(5).added("p-2", cart="c-1"))
    diary.write(diary.at(9).ordered("p-1", "p-2", cart="c-1"))
    said = text_of(life_in(a_run(tmp_path, diary.records(1), live())))

    assert "moved" not in said
    assert "ended: she bought before the reminder was due" in said


def test_what_waits_for_the_morning_says_so_on_her_clock(tmp_path: Path) -> None:
    diary = Diary()
    diary.write(diary.at(0).identified(zones=["Europe/Berlin"], addresses={"push": "t"}))
    diary.write(diary.at(0).consented())
    diary.write(diary.at(19 * 60).added(cart="c-1"))
    said = text_of(life_in(a_run(tmp_path, diary.records(22), live())))

    assert "Europe/Berlin (her zone)" in said
    night, morning = said.split("held back: it is night where she is")
    assert "Tue 6 Oct 2026" in night
    # she is told when it comes up again, as of what is still armed too
    until = morning.split("(until ")[1].split(")")[0].replace("\n         ", " ")
    assert until.startswith("Wed 7 Oct 0")
    assert said.rstrip().endswith(f"Still armed: cart c-1, due {until}.")


def test_a_candidate_zone_and_the_zone_of_the_file_are_told_apart(tmp_path: Path) -> None:
    diary = Diary()
    diary.write(diary.at(0).identified(zones=["America/New_York", "America/Chicago"]))
    diary.write(diary.at(0, "u-2").active())
    folder = a_run(tmp_path, diary.records(1), live())

    assert "times in America/New_York (one of 2 zones she may be in)" in text_of(life_in(folder))
    file_zone = "times in Asia/Shanghai (the campaigns file's zone: hers is not known)"
    assert file_zone in " ".join(text_of(life_in(folder, "u-2")).split())


def test_an_app_that_repeats_itself_is_told_once(tmp_path: Path) -> None:
    diary = Diary()
    for minute in (0, 10, 20):
        diary.write(diary.at(minute).identified(addresses={"push": "t"}))
        said_so = diary.at(minute).consented("push")
        diary.write(msgspec.structs.replace(said_so, basis="trait"))
    diary.write(diary.at(30).identified(addresses={"push": ""}))
    said = text_of(life_in(a_run(tmp_path, diary.records(1), live())))

    assert said.count("allowed marketing by push (so the app says)") == 1
    assert said.count("was identified") == 2
    assert "no longer reachable by push" in said


def test_a_repeated_event_is_told_once(tmp_path: Path) -> None:
    diary = Diary()
    once = diary.at(0).viewed()
    diary.write(once, diary.at(1).active("Page Seen"), once)

    said = text_of(life_in(a_run(tmp_path, diary.records(1), live())))

    assert 'viewed p-1, did "Page Seen"' in said
    assert "twice" not in said


def test_imported_history_is_told_as_such_and_in_its_time(tmp_path: Path) -> None:
    diary = Diary()
    past = diary.at(-2 * 24 * 60, after=2 * 24 * 60 + 30, imported=True)
    diary.write(diary.at(0).viewed(), past.ordered("p-1"))

    said = text_of(life_in(a_run(tmp_path, diary.records(1), live())))

    assert said.index("Sun 4 Oct 2026") < said.index("Tue 6 Oct 2026")
    assert "ordered Name of p-1 for 100 CNY (imported)" in said
    assert "armed" not in said


# --- the truth of it ----------------------------------------------------------------------------


def test_each_decision_is_taken_apart_with_the_file_of_its_time(tmp_path: Path) -> None:
    diary = Diary()
    people = ("u-1", "u-2")
    for user in people:
        diary.write(diary.at(0, user).identified(addresses={"push": "t"}))
        diary.write(diary.at(0, user).consented())
    diary.write(diary.at(0, "u-1").added(cart="c-1"))
    diary.write(diary.at(120, "u-2").added(cart="c-2"))
    second = live(
        {'margin = 0.3\nconversion_window = "24h"': 'margin = 0.6\nconversion_window = "24h"'}
    )
    name = artefact_name(second)
    diary.settle(100, SettingsRecord(campaigns=name))
    folder = a_run(tmp_path, diary.records(6), live(), decided=False)
    (folder / "artefacts" / name).write_bytes(second)
    a_replay(folder)

    assert "\N{MULTIPLICATION SIGN} 30 CNY" in text_of(life_in(folder, "u-1"))
    assert "\N{MULTIPLICATION SIGN} 60 CNY" in text_of(life_in(folder, "u-2"))


def test_what_a_killed_worker_wrote_twice_is_told_once(tmp_path: Path, run: Path) -> None:
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(path.read_bytes() * 2)

    assert text_of(life_in(tmp_path)) == text_of(life_in(run))


def test_a_log_that_begins_in_the_middle_says_that_it_cannot_know(
    tmp_path: Path, run: Path
) -> None:
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "events").iterdir():
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if b'"tick"' in line or b'"settings"' in line]
        cart = [line for line in lines if b"ordered" in line or b"order_completed" in line]
        path.write_bytes(b"".join([*kept, *cart]))
    life = life_in(tmp_path)

    assert any("decisions come out otherwise" in note for note in life.notes)
    (armed,) = [one for one in life.moments if isinstance(one, Armed) and one.campaign == "cart"]
    assert armed.guessed  # of the decision's own record: its first event is gone
    assert "armed for c-7: cart, due 11:24" in text_of(life)
    assert "sent by push" in text_of(life)


def test_without_its_campaigns_file_a_run_still_tells_what_was_recorded(
    tmp_path: Path, run: Path
) -> None:
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "artefacts")

    said = text_of(life_in(tmp_path))
    whole = text_of(asyncio.run(sources.of_path(tmp_path, "u-1", live())))

    assert "times in Asia/Shanghai (her zone)" in said
    assert "sent by push: 0.9 % more orders by push, worth 0.66 CNY" in " ".join(said.split())
    assert "Nothing could be folded anew" in said
    assert "\N{MULTIPLICATION SIGN} 79.20 CNY" in whole


def test_a_file_of_events_is_decided_now(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    records = list(her_day().records(12))
    path.write_bytes(b"".join(codec.write(record) + b"\n" for record in records))

    life = asyncio.run(sources.of_path(path, "u-1", live()))

    assert [one.reason for one in _decisions(life)] == ["sent"]
    assert "No decisions were recorded: these are what the engine makes of it." in text_of(life)


def test_decisions_alone_tell_what_they_can(run: Path) -> None:
    life = asyncio.run(sources.of_path(run / "decisions.jsonl", "u-1", live()))

    said = text_of(life)
    assert "armed for c-7: cart, due 11:24" in said
    assert "\N{MULTIPLICATION SIGN} 79.20 CNY" in said
    assert "Only decisions were read" in said


# --- who she is ---------------------------------------------------------------------------------


def test_who_asked_to_be_forgotten_is_told_nothing_of(tmp_path: Path) -> None:
    diary = her_day()
    diary.write(diary.at(200).erased(), diary.at(210).viewed("p-1"))
    life = life_in(a_run(tmp_path, diary.records(12), live()))

    said = " ".join(text_of(life).split())
    assert "She asked to be forgotten on Tue 6 Oct 2026" in said
    assert "ended: she asked to be forgotten" in said
    assert not any(word in said for word in ("viewed", "ordered", "sent by push", "clicked"))
    assert Page(life).as_json()["forgotten_at"] == "2026-10-06T04:20:00.000Z"


def test_who_comes_back_is_told_of_from_then_on(tmp_path: Path) -> None:
    diary = her_day()
    diary.write(diary.at(200).erased(), diary.at(210).consented("push"))
    diary.write(diary.at(220).viewed("p-9"))

    said = text_of(life_in(a_run(tmp_path, diary.records(12), live())))

    assert "viewed p-9" in said
    assert "put Coffee beans" not in said


def test_who_is_unknown_is_one_helpful_answer(run: Path) -> None:
    with pytest.raises(Refused, match=r"Nothing is known about u-404 in .*userId"):
        life_in(run, "u-404")


def test_who_never_signed_in_is_found_by_her_device(tmp_path: Path) -> None:
    diary = Diary()
    diary.write(diary.at(0, "anon:d-1").viewed())
    folder = a_run(tmp_path, diary.records(1), live())

    with pytest.raises(Refused, match="ask for anon:d-1"):
        life_in(folder, "d-1")
    assert "There is no decision about anon:d-1" in text_of(life_in(folder, "anon:d-1"))


# --- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("14d", 14 * DAY),
        ("6h", 6 * HOUR),
        ("90m", 90 * MINUTE),
        ("2026-10-20", date(2026, 10, 20)),
    ],
)
def test_since_is_a_span_or_a_day(text: str, read: object) -> None:
    assert since(text) == read


@pytest.mark.parametrize("wrong", ["", "yesterday", "14", "2026-13-01", "-3d"])
def test_what_is_neither_is_said_to_be_wrong(wrong: str) -> None:
    with pytest.raises(ValueError, match="2026-10-20"):
        since(wrong)


def test_since_counts_from_the_end_of_the_log(run: Path) -> None:
    said = text_of(life_in(run), "9h")  # the log ends at 21:00, hence from 12:00 on

    assert "ordered 2 things" in said
    assert "clicked" not in said
    assert "12 earlier entries are left out" in said


def test_since_a_day_begins_at_her_midnight(run: Path) -> None:
    life = life_in(run)

    assert Page(life, since("2026-10-06")).left_out == 0
    assert Page(life, since("2026-10-07")).entries == []


def test_the_command_tells_it_and_as_json_too(run: Path) -> None:
    plain = rekindle("user", "why", "u-1", "--from", str(run))
    machine = rekindle("user", "why", "u-1", "--from", str(run), "--json")

    assert plain.exit_code == 0, plain.output
    assert plain.stdout == HER_DAY
    told = json.loads(machine.stdout)
    (sent,) = [entry for entry in told["entries"] if entry["kind"] == "decision"]
    assert sent["at"] == "2026-10-06T03:30:00.000Z"
    assert sent["decisions"][0]["channels"]["push"]["worth"] == pytest.approx(0.66, abs=0.005)
    assert [armed["campaign"] for armed in told["armed"]] == [
        "post-purchase-7d",
        "post-purchase-30d",
    ]


def test_a_wrong_since_is_a_wrong_use(run: Path) -> None:
    shown = rekindle("user", "why", "u-1", "--from", str(run), "--since", "soon")

    assert shown.exit_code == 2
    assert "write 14d, 6h or a day" in shown.stderr


def test_somebody_unknown_ends_with_a_sentence(run: Path) -> None:
    shown = rekindle("user", "why", "u-404", "--from", str(run))

    assert shown.exit_code == 1
    assert "Nothing is known about u-404" in shown.stderr
