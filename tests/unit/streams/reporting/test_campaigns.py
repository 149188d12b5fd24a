"""What is counted, what is left out and said to be, and the two groups that are compared."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import decisions as log
from engine.decisions import ChannelView, Decision, DecisionTrigger
from engine.errors import Refused
from engine.events import Record, SettingsRecord, Tick
from engine.policy import Settings
from engine.times import DAY, HOUR, iso
from rules import templates
from streams.demo.recount import recount
from streams.log import codec
from streams.replay.recording import Recorder
from streams.reporting.campaigns import CampaignReport, Report, report
from streams.reporting.told import told
from tests.support.builders import START, Told
from tests.support.recorded import a_run, live
from tests.support.traffic import traffic

END = START + 10 * DAY
LIVE = live({"share = 0.0\nepoch": "share = 0.2\nepoch"})
DRY = LIVE.replace(b'mode = "live"', b'mode = "dry_run"')


def sha(content: bytes) -> str:
    return sha256(content).hexdigest()


def in_force(*files: bytes) -> str:
    """The settings hash after these files were applied in turn."""
    settings = Settings()
    for content in files:
        settings = settings.merged(SettingsRecord(campaigns=sha(content)))
    return settings.digest()


def a_decision(
    user: str = "u-1",
    reason: str = "sent",
    at: int = START,
    *,
    key: str = "c-1",
    attempt: int = 0,
    file: bytes = LIVE,
    campaign: str = "cart",
    **changes: Any,
) -> Decision:
    outcome = {"sent": "send", "converted": "disarm", "quiet_hours": "defer"}.get(reason)
    spoke = reason == "sent" or reason.startswith("would_send")
    values: dict[str, Any] = {
        "decision_id": f"{user}-{campaign}-{key}-{attempt}",
        "pos": "1.1",
        "at": iso(at),
        "user_id": user,
        "campaign": campaign,
        "campaign_version": 1,
        "trigger": DecisionTrigger(
            kind="cart_abandonment", key=key, episode=key, armed_at=iso(at), due_at=iso(at)
        ),
        "attempt": attempt,
        "outcome": outcome or "suppress",
        "reason": reason,
        "currency": "CNY",
        "channel": "email" if spoke else None,
        "channels": {"email": ChannelView(p0=0.1, uplift=0.009)} if spoke else {},
        "settings_hash": in_force(file),
        "action_id": f"a-{user}-{key}" if spoke else None,
    }
    return Decision(**(values | changes))


class Shop:
    """Writes a recorded run as the product writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ran(
        self,
        decisions: Sequence[Decision],
        events: Sequence[Record] = (),
        *,
        files: Sequence[bytes] = (LIVE,),
        end: int = END,
        first_offset: int = 0,
    ) -> Report:
        began = [SettingsRecord(campaigns=sha(content)) for content in files]
        records = [*began, *events, Tick(now=end)]
        with Recorder(self.folder) as recorder:
            for content in (*files, templates.artefact()):
                recorder.record("artefacts", 0, 0, 0, sha(content).encode(), content)
            for offset, record in enumerate(records, first_offset):
                value = codec.write(record)
                recorder.record("events", 0, offset, START, codec.key(record), value)
            for decision in decisions:
                recorder.record("decisions", 0, 0, 0, None, log.encode(decision))
        return report(self.folder)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "run")


def ordered(user: str, at: int, order: str = "o-1") -> Record:
    return Told(user, at).ordered("p-1", order=order)


def groups(one: CampaignReport) -> tuple[tuple[int, int], tuple[int, int]]:
    """(rows, rows with an order) of treated and withheld."""
    found = one.effect
    return (
        (found.treated.rows, found.treated.ordered),
        (found.withheld.rows, found.withheld.ordered),
    )


# --- the groups ----------------------------------------------------------------------------------


def test_an_order_counts_after_the_decision_and_within_the_window(shop: Shop) -> None:
    cases = {"before": -1, "with": 0, "soon": 1, "last": DAY, "late": DAY + 1}
    found = shop.ran(
        [a_decision(user) for user in cases],
        [ordered(user, START + after) for user, after in cases.items()],
    )

    assert groups(found.campaigns["cart"])[0] == (5, 2)


def test_an_order_told_again_stays_where_it_was(shop: Shop) -> None:
    found = shop.ran(
        [a_decision("updated"), a_decision("new", "would_send_holdout")],
        [
            ordered("updated", START - HOUR),
            ordered("updated", START + HOUR),
            ordered("new", START - HOUR),
            ordered("new", START + HOUR, "o-2"),
        ],
    )

    assert groups(found.campaigns["cart"]) == ((1, 0), (1, 1))


def test_a_window_that_is_open_is_no_answer(shop: Shop) -> None:
    found = shop.ran(
        [
            a_decision("over", at=END - DAY),
            a_decision("open", at=END - DAY + 1),
            a_decision("withheld", "would_send_holdout", at=END - 1),
        ]
    )

    cart = found.campaigns["cart"]
    assert groups(cart) == ((1, 0), (0, 0))
    assert cart.open_windows == 2


def test_only_what_differs_by_the_holdout_alone_is_compared(shop: Shop) -> None:
    said = ["sent", "would_send_holdout"]
    other = ["not_worth_it", "explored_none", "cap:any-24h", "template_failed", "converted"]
    explored = a_decision("by-lot", explored=True)

    found = shop.ran([explored, *(a_decision(reason, reason) for reason in said + other)])

    assert groups(found.campaigns["cart"]) == ((2, 0), (1, 0))


def test_testers_and_dry_runs_are_left_out_and_counted(shop: Shop) -> None:
    both = [DRY, LIVE]
    after: dict[str, Any] = {"settings_hash": in_force(*both)}
    found = shop.ran(
        [
            # the holdout of a dry run has nobody treated beside it
            a_decision("dry-1", "would_send_holdout", file=DRY),
            a_decision("dry-2", "would_send_dry_run", file=DRY),
            a_decision("dry-3", "no_consent", file=DRY),
            a_decision("tester", tester=True, **after),
            a_decision("real", **after),
        ],
        files=both,
    )

    cart = found.campaigns["cart"]
    assert groups(cart) == ((1, 0), (0, 0))
    assert cart.testers == 1
    assert cart.dry_run == {"would_send_holdout": 1, "would_send_dry_run": 1, "no_consent": 1}
    assert cart.closed == 1
    assert found.uncertain == 0


def test_a_tester_of_the_file_is_one_even_where_her_trigger_was_only_ended(shop: Shop) -> None:
    file = LIVE.replace(b"testers = []", b'testers = ["u-1"]')
    found = shop.ran([a_decision("u-1", "converted", file=file)], files=[file])

    assert found.campaigns["cart"].testers == 1
    assert not found.campaigns["cart"].ended


def test_decisions_of_before_the_log_begins_are_no_answer(shop: Shop) -> None:
    found = shop.ran([a_decision(at=START - HOUR), a_decision("u-2")], first_offset=700)

    cart = found.campaigns["cart"]
    assert groups(cart)[0] == (1, 0)
    assert cart.incomplete == 1


def test_a_file_the_log_no_longer_names_is_guessed_and_said(shop: Shop) -> None:
    found = shop.ran([a_decision(settings_hash="gone")])

    assert groups(found.campaigns["cart"])[0] == (1, 0)
    assert found.uncertain == 1
    assert "no longer holds" in " ".join(told(found))


# --- counting ------------------------------------------------------------------------------------


def test_a_record_written_twice_counts_once(shop: Shop) -> None:
    found = shop.ran([a_decision(), a_decision()])

    assert found.campaigns["cart"].sent == {"email": 1}
    assert groups(found.campaigns["cart"])[0] == (1, 0)


def test_what_is_held_back_is_open_until_it_ends(shop: Shop) -> None:
    found = shop.ran(
        [
            a_decision("held", "quiet_hours"),
            a_decision("held-then-sent", "quiet_hours"),
            a_decision("held-then-sent", "sent", attempt=1),
        ]
    )

    cart = found.campaigns["cart"]
    assert cart.held == 1
    assert cart.closed == 1
    assert cart.open is None, "what is not yet due leaves no record"
    assert "1 held back, still open" in "\n".join(told(found))


def test_since_counts_back_from_the_end_of_the_log(shop: Shop) -> None:
    shop.ran([a_decision("old"), a_decision("new", at=END - 3 * DAY)])

    found = report(shop.folder, 3 * DAY)

    assert found.since == END - 3 * DAY
    assert found.campaigns["cart"].closed == 1


def test_outcomes_are_counted_per_message_and_clicks_per_person(shop: Shop) -> None:
    def outcome(user: str, key: str, name: Any, **more: Any) -> Record:
        return Told(user, START + HOUR).outcome(f"a-{user}-{key}", name, "email", **more)

    found = shop.ran(
        [
            *(a_decision("keen", key=key) for key in ("c-1", "c-2")),
            *(a_decision(user) for user in ("robot", "cross", "bounced", "proven")),
        ],
        [
            *(outcome("keen", key, "delivered") for key in ("c-1", "c-2", "c-2")),
            *(outcome("keen", key, "clicked") for key in ("c-1", "c-2")),
            outcome("robot", "c-1", "delivered"),
            outcome("robot", "c-1", "opened", machine=True),
            outcome("robot", "c-1", "clicked", machine=True),
            outcome("cross", "c-1", "unsubscribed"),
            outcome("cross", "c-1", "complained"),
            outcome("bounced", "c-1", "failed"),
            outcome("proven", "c-1", "failed"),
            outcome("proven", "c-1", "delivered"),
        ],
    )

    cart = found.campaigns["cart"]
    assert cart.outcomes["delivered"] == 4
    assert cart.clicked == 1
    assert cart.by_machine == 1
    assert cart.left == 1
    assert cart.refused == 1
    assert cart.cost == {"CNY": pytest.approx(5 * 0.002)}, "what reached nobody costs nothing"
    assert groups(cart)[0][0] == 6, "it was sent, whatever became of it"


def test_the_total_is_the_sum_and_a_person_in_two_campaigns_is_one(shop: Shop) -> None:
    week = START + 8 * DAY
    found = shop.ran(
        [a_decision(), a_decision(campaign="post-purchase-7d")],
        [ordered("u-1", START + HOUR)],
        end=week,
    )

    assert found.total.closed == 2
    assert groups(found.total)[0] == (2, 2)
    assert found.total.effect.treated.people == 1


# --- a run of the engine -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = live({
        "share = 0.0\nepoch": "share = 0.3\nepoch",
        'delay = "1h"': 'delay = "10m"',
        'conversion_window = "24h"': 'conversion_window = "90m"',
        'cooldown = "72h"': 'cooldown = "20m"',
        "limit = 1": "limit = 9",
        "limit = 3": "limit = 9",
    })  # fmt: skip
    folder = a_run(tmp_path_factory.mktemp("engine"), traffic(4_000, users=150), file)
    (folder / "campaigns.toml").write_bytes(file)
    return folder


def test_the_independent_recount_agrees_about_a_run_of_the_engine(run: Path) -> None:
    found = report(run)
    again = recount(run, run / "campaigns.toml")

    cart, lift = found.campaigns["cart"].effect, again.lifts["cart"]
    assert lift.estimate is not None
    assert lift.interval is not None
    assert cart.estimate is not None
    assert cart.interval is not None
    assert (cart.treated.rows, cart.treated.ordered) == (
        lift.treated.messages,
        lift.treated.ordered,
    )
    assert (cart.withheld.rows, cart.withheld.ordered) == (
        lift.withheld.messages,
        lift.withheld.ordered,
    )
    assert cart.treated.people < cart.treated.rows, "the run has people who repeat"
    assert 1000 * cart.estimate == pytest.approx(lift.estimate)
    assert [1000 * bound for bound in cart.interval] == pytest.approx(lift.interval)
    counted = {**found.total.silenced, **found.total.ended, "sent": found.total.sent.total()}
    assert counted == again.decisions


def test_what_was_armed_is_told_where_the_run_recorded_it(run: Path) -> None:
    assert report(run).campaigns["cart"].armed is None
    closed = {name: one.closed for name, one in report(run).campaigns.items()}
    armed = {name: count + 3 for name, count in closed.items()}
    path = run / "armed.json"
    path.write_bytes(msgspec.json.encode(armed))

    found = report(run)
    path.unlink()

    assert found.campaigns["cart"].open == 3
    assert found.total.open == 3 * len(closed)
    assert f"{closed['cart'] + 3:,} armed = " in "\n".join(told(found))


# --- told ----------------------------------------------------------------------------------------


def test_it_is_told_in_80_columns_and_without_a_bare_percentage(run: Path) -> None:
    lines = list(told(report(run)))

    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert text.count("%") == text.count("95 %")
    assert "orders/1,000 treated" in text
    assert "total: " in text or len(report(run).campaigns) == 1


def test_a_young_campaign_says_what_is_missing(shop: Shop) -> None:
    assert "1 conversion window is still open, none is over" in _said(
        shop.ran([a_decision(at=END - HOUR)])
    )


def _said(found: Report) -> str:
    return " ".join(" ".join(told(found)).split())


def test_without_anybody_withheld_nothing_can_be_said_and_it_says_what_it_takes(
    shop: Shop,
) -> None:
    said = _said(shop.ran([a_decision()]))

    assert "nothing withheld has a closed window" in said
    # ((1.96 + 0.84) / 0.009)^2 x (0.1 x 0.9 + 0.109 x 0.891 / 4), at four treated per withheld
    assert "about 12,000 more withheld rows would show the assumed effect (+9.0)" in said


def test_without_a_holdout_it_says_so(shop: Shop) -> None:
    said = _said(shop.ran([a_decision(file=live())], files=[live()]))

    assert "the campaigns file has no holdout" in said
    assert "would show" not in said


def _many(shop: Shop, treated: Mapping[bool, int], withheld: Mapping[bool, int]) -> Report:
    decisions, events = [], []
    for reason, counted in (("sent", treated), ("would_send_holdout", withheld)):
        for buys, count in counted.items():
            for number in range(count):
                user = f"{reason}-{buys}-{number}"
                decisions.append(a_decision(user, reason, at=START + number * HOUR))
                if buys:
                    events.append(ordered(user, START + number * HOUR + 1))
    return shop.ran(decisions, events, end=START + 400 * HOUR)


def test_an_effect_that_is_there_is_said_to_be(shop: Shop) -> None:
    found = _many(shop, {True: 120, False: 180}, {True: 20, False: 130})

    assert found.campaigns["cart"].effect.told
    assert "more orders where the message was sent" in _said(found)


def test_messages_that_cost_orders_are_said_to(shop: Shop) -> None:
    found = _many(shop, {True: 20, False: 280}, {True: 50, False: 100})

    assert "FEWER orders where the message was sent" in _said(found)


def test_between_the_two_nothing_is_known_and_both_effects_have_their_rows(shop: Shop) -> None:
    found = _many(shop, {True: 30, False: 170}, {True: 5, False: 45})

    said = _said(found)
    assert "nothing is known yet" in said
    assert "would show the assumed effect (+9.0)" in said
    assert "more would show the observed effect (+50)" in said
    needed = found.as_json()["campaigns"]["cart"]["needed"]
    assert needed["assumed"]["more_withheld"] > needed["observed"]["more_withheld"] > 0
    assert needed["assumed"]["days"] > needed["observed"]["days"] > 0


def test_a_holdout_that_changed_is_warned_about(shop: Shop) -> None:
    other = LIVE.replace(b"share = 0.2", b"share = 0.1")
    files = [other, LIVE]
    after: dict[str, Any] = {"settings_hash": in_force(*files)}
    said = _said(
        shop.ran(
            [
                a_decision("u-1", file=other),
                a_decision("u-2", **after),
                a_decision("u-3", "would_send_holdout", **after),
            ],
            files=files,
        )
    )

    assert "the holdout changed in this time" in said


def test_a_run_without_decisions_or_files_is_one_sentence(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nothing was decided"):
        shop.ran([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match="nothing was ever applied"):
        report(tmp_path / "empty")
    (shop.folder / "decisions.jsonl").write_text("{}\n")
    with pytest.raises(Refused, match=r"decisions\.jsonl:1: not a decision"):
        report(shop.folder)
