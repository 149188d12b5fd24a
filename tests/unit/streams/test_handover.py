"""Hand-over: whatever happens between decision and delivery, the person is right."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from engine import controls
from engine.actions import Action, encode
from engine.controls import Held, Standing
from engine.errors import InvalidEvent, Unavailable
from engine.memory import MemoryStore
from engine.policy import Settings
from engine.ports import HandOver, InForce
from engine.profile import PROOFS, REFUSALS
from engine.times import DAY, HOUR, MINUTE, SECOND, from_iso
from streams.delivery import feedback
from streams.delivery.clocks import TickClock, WallClock
from streams.delivery.feedback import Feedback
from streams.delivery.gateways import Accepted, Answer, Failed, Rejected, Unknown
from streams.delivery.handover import ActionRecord, HandOvers, Proceed, Refusal, read
from tests.support.builders import a_cart_campaign, a_policy, a_post_purchase_campaign
from tests.support.world import World, now_done

AWAY, LOST = Unavailable("away"), Unknown("lost")


class InForceNow:
    """The port Artefacts: what the world has in force at the moment; None = still on its way."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.missing = False

    def resolve(self, settings: Settings) -> InForce | None:
        return None if self.missing else self.world.force


@dataclass
class Switched:
    """The kill switch as a test sets it: what is paused, or what happens to who asks."""

    held: tuple[Held, ...] = ()
    away: Unavailable | None = None

    async def standing(self, now: int) -> Standing:
        if self.away is not None:
            raise self.away
        return controls.standing(self.held, now)


@dataclass
class Shelves:
    """What the shop tells as a test sets it: the products sold out, or what happens to who asks."""

    gone: set[str] = field(default_factory=set)
    away: Unavailable | None = None

    async def all_of(self, product_ids: Collection[str]) -> bool:
        if self.away is not None:
            raise self.away
        return bool(product_ids) and self.gone.issuperset(product_ids)


@dataclass
class Scripted:
    """A gateway that does what a test says, in turn; then it accepts."""

    turns: list[Answer | Exception] = field(default_factory=list)
    idempotent: bool = False
    name: str = "scripted"
    sent: list[tuple[Action, int]] = field(default_factory=list)

    async def send(self, action: Action, now: int) -> Answer:
        self.sent.append((action, now))
        turn = self.turns.pop(0) if self.turns else Accepted("202")
        if isinstance(turn, Exception):
            raise turn
        return turn

    async def close(self) -> None:
        pass


class Desk:
    """A world with one action decided, and its hand-over; sleeping moves the world's clock."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.artefacts = InForceNow(self.world)
        self.naps: list[float] = []
        self.meanwhile: list[object] = []
        self.switch = Switched()
        self.shelves = Shelves()
        self.hand_overs = HandOvers(
            self.world.store,
            self.artefacts,
            WallClock(lambda: self.world.now),
            self.switch,
            self.sleep,
            sold_out=self.shelves,
        )

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.world.now += round(seconds * SECOND)
        if self.meanwhile:
            happens = self.meanwhile.pop(0)
            if callable(happens):
                happens()

    @property
    def record(self) -> ActionRecord:
        """Return the last action, as it is read from the topic."""
        entry = [out for out in self.world.out if out.topic.startswith("actions.")][-1]
        return read(0, entry.value, entry.id.offset)

    def judge(self) -> Proceed | Refusal:
        return now_done(self.hand_overs.judge(self.record))

    def refusal(self) -> tuple[str, str]:
        judged = self.judge()
        assert isinstance(judged, Refusal)
        return judged.feedback.type, judged.feedback.reason

    def call(self, gateway: Scripted) -> Feedback:
        judged = self.judge()
        assert isinstance(judged, Proceed)
        return now_done(self.hand_overs.call(gateway, judged))

    def settle(self, gateway: Scripted) -> Feedback:
        begun = HandOver(self.record.action.action_id, self.record.value)
        return now_done(self.hand_overs.settle(gateway, 0, begun))


@pytest.fixture
def desk() -> Desk:
    """A cart reminder was decided a moment ago."""
    desk = Desk()
    desk.world.person()
    desk.world.event(desk.world.told().added("p-1", cart="c-1"))
    desk.world.wait("1h")
    assert [action.channel for action in desk.world.sent] == ["push"]
    return desk


# --- judging ------------------------------------------------------------------------------------


def test_what_nothing_objects_to_goes_on(desk: Desk) -> None:
    judged = desk.judge()
    assert isinstance(judged, Proceed)
    assert judged.hand_over == HandOver(desk.record.action.action_id, desk.record.value)
    assert judged.keep == 2 * HOUR + HOUR
    assert judged.at == desk.world.now


def test_a_purchase_after_the_decision_cancels_the_reminder(desk: Desk) -> None:
    desk.world.event(desk.world.told().ordered("o-1", "p-1", cart="c-1"))
    assert desk.refusal() == ("cancelled", "converted")


def test_an_emptied_cart_cancels_the_reminder(desk: Desk) -> None:
    desk.world.event(desk.world.told().removed("p-1", cart="c-1"))
    assert desk.refusal() == ("cancelled", "emptied")


def test_a_withdrawn_consent_cancels(desk: Desk) -> None:
    desk.world.event(desk.world.told().consented(granted=False))
    assert desk.refusal() == ("cancelled", "no_consent")


def test_an_erased_person_hears_nothing(desk: Desk) -> None:
    desk.world.event(desk.world.told().erased())
    assert desk.refusal() == ("cancelled", "erased")


def test_a_message_for_a_former_address_is_cancelled(desk: Desk) -> None:
    desk.world.event(desk.world.told().identified({"push": "token-of-somebody-else"}))
    assert desk.refusal() == ("cancelled", "unreachable")


def test_an_address_taken_away_is_no_address(desk: Desk) -> None:
    desk.world.event(desk.world.told().identified({"push": ""}))
    assert desk.refusal() == ("cancelled", "unreachable")


def test_an_address_that_bounced_for_good_is_not_used(desk: Desk) -> None:
    desk.world.event(desk.world.told().outcome("other", "bounced", permanent=True))
    assert desk.refusal() == ("cancelled", "suppressed_address")


@pytest.mark.parametrize(
    ("name", "reason"), [("channel:push", "channel_paused"), ("campaign:cart", "campaign_paused")]
)
def test_a_pause_cancels(desk: Desk, name: str, reason: str) -> None:
    desk.world.pause(name)
    assert desk.refusal() == ("cancelled", reason)


@pytest.mark.parametrize(
    ("name", "reason"), [("channel:push", "channel_paused"), ("campaign:cart", "campaign_paused")]
)
def test_the_kill_switch_cancels_what_the_log_still_allows(
    desk: Desk, name: str, reason: str
) -> None:
    desk.switch.held = (Held(target="channel:sms"), Held(target=name))
    assert desk.refusal() == ("cancelled", reason)


def test_a_kill_switch_that_has_run_out_or_is_of_another_channel_cancels_nothing(
    desk: Desk,
) -> None:
    over = Held(target="channel:push", until=desk.world.now)
    desk.switch.held = (over, Held(target="channel:sms"), Held(target="campaign:other"))
    assert isinstance(desk.judge(), Proceed)


def test_a_kill_switch_nobody_can_read_is_waited_for(desk: Desk) -> None:
    desk.switch.away = AWAY
    with pytest.raises(Unavailable):
        desk.judge()


def test_a_pause_while_an_absent_gateway_is_waited_for_is_heard_before_the_next_try(
    desk: Desk,
) -> None:
    def flip() -> None:
        desk.switch.held = (Held(target="channel:push"),)

    desk.meanwhile.append(flip)
    gateway = Scripted([AWAY])
    told = desk.call(gateway)

    assert (told.type, told.reason) == ("cancelled", "channel_paused")
    assert len(gateway.sent) == 1


def test_what_offers_only_what_is_sold_out_is_cancelled(desk: Desk) -> None:
    desk.shelves.gone = {"p-1", "p-2"}
    assert desk.refusal() == ("cancelled", "out_of_stock")


def test_one_product_that_is_left_or_unknown_is_offered_still() -> None:
    desk = Desk()
    desk.world.person()
    for product in ("p-1", "p-2"):
        desk.world.event(desk.world.told().added(product, cart="c-1"))
    desk.world.wait("1h")
    desk.shelves.gone = {"p-1"}
    assert isinstance(desk.judge(), Proceed)
    desk.shelves.gone = {"p-1", "p-2"}
    assert desk.refusal() == ("cancelled", "out_of_stock")


def test_what_she_did_herself_is_the_better_reason(desk: Desk) -> None:
    desk.shelves.gone = {"p-1"}
    desk.world.event(desk.world.told().ordered("o-1", "p-1", cart="c-1"))
    assert desk.refusal() == ("cancelled", "converted")


def test_what_nobody_can_say_yet_of_the_products_is_waited_for(desk: Desk) -> None:
    desk.shelves.away = AWAY
    with pytest.raises(Unavailable):
        desk.judge()


def test_what_sells_out_while_an_absent_gateway_is_waited_for_is_not_offered(desk: Desk) -> None:
    desk.meanwhile.append(lambda: desk.shelves.gone.add("p-1"))
    gateway = Scripted([AWAY])
    told = desk.call(gateway)
    assert (told.type, told.reason, len(gateway.sent)) == ("cancelled", "out_of_stock", 1)


@pytest.mark.parametrize(("share", "goes"), [(0.1, False), (0.9, True)])
def test_a_throttle_set_after_the_decision_draws_the_same_lot_at_hand_over(
    desk: Desk, share: float, goes: bool
) -> None:
    desk.world.act(controls.throttle("channel:push", share, actor="brake", at=desk.world.now))
    if goes:
        assert isinstance(desk.judge(), Proceed)
    else:
        assert desk.refusal() == ("cancelled", "rate_brake")


def test_a_night_that_has_fallen_cancels(desk: Desk) -> None:
    action = desk.record.action
    late = msgspec.structs.replace(action.delivery, expires_at="2026-03-05T03:00:00Z")
    held = read(0, encode(msgspec.structs.replace(action, delivery=late)))
    desk.world.now = from_iso("2026-03-04T21:30:00+08:00")

    judged = now_done(desk.hand_overs.judge(held))

    assert isinstance(judged, Refusal)
    assert (judged.feedback.type, judged.feedback.reason) == ("cancelled", "quiet_hours")


def test_a_campaign_that_is_gone_is_not_carried(desk: Desk) -> None:
    desk.world.apply(a_policy(a_post_purchase_campaign(7)))
    assert desk.refusal() == ("cancelled", "campaign_removed")


def test_a_channel_the_campaign_has_lost_is_not_used(desk: Desk) -> None:
    desk.world.apply(a_policy(a_cart_campaign(channels=("email",))))
    assert desk.refusal() == ("cancelled", "channel_paused")


def test_a_campaign_put_back_to_dry_run_sends_nothing(desk: Desk) -> None:
    desk.world.apply(a_policy(mode="dry_run"))
    assert desk.refusal() == ("cancelled", "would_send_dry_run")


def test_the_action_does_not_object_to_itself(desk: Desk) -> None:
    # one message a day and a cooldown of three days, both charged by this very action
    assert len(desk.world.profile().sends) == 1
    assert isinstance(desk.judge(), Proceed)


def test_an_order_that_had_its_say_may_still_be_told() -> None:
    desk = Desk(World(a_policy(a_post_purchase_campaign(7))))
    desk.world.person()
    desk.world.event(desk.world.told().ordered("o-1", "p-1"))
    desk.world.wait("7d 1h", step="1h")
    (order,) = desk.world.profile().orders
    assert order.spoken == ["post-purchase-7d"]

    assert isinstance(desk.judge(), Proceed)
    desk.shelves.gone = {"p-1"}  # she has hers
    assert isinstance(desk.judge(), Proceed)

    desk.world.event(desk.world.told().cancelled("o-1"))
    assert desk.refusal() == ("cancelled", "refunded")


def test_what_is_too_late_has_expired(desk: Desk) -> None:
    desk.world.now = desk.record.expires_at
    assert isinstance(desk.judge(), Proceed)
    desk.world.now += 1
    assert desk.refusal() == ("expired", "expired")


def test_a_state_that_stands_before_the_decision_is_waited_for(desk: Desk) -> None:
    # Given a Redis that fell back: what it holds does not know of later purchases either
    record = desk.record
    assert record.cause is not None
    partition = desk.world.store.partitions[0]
    assert partition.head is not None
    partition.head.offset = record.cause
    with pytest.raises(Unavailable, match="before this decision"):
        desk.judge()


def test_an_empty_redis_is_waited_for(desk: Desk) -> None:
    clock = WallClock(lambda: desk.world.now)
    other = HandOvers(MemoryStore(), desk.artefacts, clock, desk.switch)
    with pytest.raises(Unavailable):
        now_done(other.judge(desk.record))


def test_an_artefact_on_its_way_is_waited_for(desk: Desk) -> None:
    desk.artefacts.missing = True
    with pytest.raises(Unavailable, match="artefact"):
        desk.judge()


def test_where_data_carries_the_time_the_last_tick_is_now(desk: Desk) -> None:
    clock = TickClock(desk.world.store)
    hand_overs = HandOvers(desk.world.store, desk.artefacts, clock, desk.switch)
    ticked = desk.world.now
    desk.world.now += 30 * DAY

    judged = now_done(hand_overs.judge(desk.record))

    assert isinstance(judged, Proceed)
    assert judged.at == ticked
    with pytest.raises(Unavailable):
        now_done(TickClock(desk.world.store).now(7))


@pytest.mark.parametrize("value", [b"", b"[]", b'{"v":1}', b"\xff"])
def test_what_is_no_action_is_invalid(value: bytes) -> None:
    with pytest.raises(InvalidEvent) as invalid:
        read(0, value)
    assert invalid.value.reason == "bad_action"


def test_an_action_without_a_readable_expiry_is_invalid(desk: Desk) -> None:
    action = desk.record.action
    never = msgspec.structs.replace(action.delivery, expires_at="never")
    with pytest.raises(InvalidEvent):
        read(0, encode(msgspec.structs.replace(action, delivery=never)))


# --- calling ------------------------------------------------------------------------------------


def test_what_the_gateway_takes_is_accepted(desk: Desk) -> None:
    gateway = Scripted()
    told = desk.call(gateway)
    assert (told.type, told.provider, told.provider_code) == ("accepted", "scripted", "202")
    assert from_iso(told.occurred_at) == desk.world.now
    assert gateway.sent == [(desk.record.action, desk.world.now)]


def test_what_the_gateway_rejects_is_not_sent_again(desk: Desk) -> None:
    gateway = Scripted([Rejected("http_422", code="422")])
    told = desk.call(gateway)
    assert (told.type, told.reason, told.permanent) == ("rejected", "http_422", True)
    assert len(gateway.sent) == 1


def test_answers_that_it_failed_are_counted(desk: Desk) -> None:
    gateway = Scripted([Failed("full"), Failed("full"), Failed("still full"), Accepted()])
    told = desk.call(gateway)
    assert (told.type, told.reason) == ("failed", "still full")
    assert len(gateway.sent) == desk.record.action.delivery.max_attempts == 3


def test_an_absent_gateway_is_waited_for_and_not_counted(desk: Desk) -> None:
    gateway = Scripted([AWAY] * 9)
    assert desk.call(gateway).type == "accepted"
    assert desk.naps == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_an_absent_gateway_is_waited_for_as_long_as_the_message_lives(desk: Desk) -> None:
    gateway = Scripted([AWAY] * 1000)
    told = desk.call(gateway)
    assert (told.type, told.reason) == ("expired", "expired")
    assert all(now <= desk.record.expires_at for _, now in gateway.sent)
    assert from_iso(told.occurred_at) > desk.record.expires_at


def test_a_purchase_while_the_gateway_was_away_cancels(desk: Desk) -> None:
    desk.meanwhile = [lambda: desk.world.event(desk.world.told().ordered("o-1", "p-1", cart="c-1"))]
    gateway = Scripted([AWAY, AWAY])
    told = desk.call(gateway)
    assert (told.type, told.reason) == ("cancelled", "converted")
    assert len(gateway.sent) == 1


def test_a_redis_that_is_away_between_two_tries_is_waited_for(desk: Desk) -> None:
    def go() -> None:
        desk.artefacts.missing = True

    def come() -> None:
        desk.artefacts.missing = False

    desk.meanwhile = [go, lambda: None, come]
    gateway = Scripted([AWAY])
    assert desk.call(gateway).type == "accepted"
    assert len(desk.naps) == 3
    assert len(gateway.sent) == 2


def test_a_lost_answer_of_a_gateway_without_keys_is_never_asked_again(desk: Desk) -> None:
    gateway = Scripted([LOST])
    told = desk.call(gateway)
    assert (told.type, told.reason) == ("unknown", "no_answer")
    assert len(gateway.sent) == 1


def test_a_lost_answer_of_an_idempotent_gateway_is_asked_again(desk: Desk) -> None:
    gateway = Scripted([LOST, AWAY], idempotent=True)
    assert desk.call(gateway).type == "accepted"
    assert len(gateway.sent) == 3
    assert {action.action_id for action, _ in gateway.sent} == {desk.record.action.action_id}


@pytest.mark.parametrize("turns", [[LOST] * 1000, [LOST, *[AWAY] * 1000]])
def test_what_may_have_arrived_is_never_reported_as_refused(
    desk: Desk, turns: list[Answer | Exception]
) -> None:
    told = desk.call(Scripted(turns, idempotent=True))
    assert (told.type, told.reason) == ("unknown", "expired")


# --- after a crash ------------------------------------------------------------------------------


def test_an_interrupted_hand_over_without_keys_is_reported_unknown(desk: Desk) -> None:
    gateway = Scripted()
    told = desk.settle(gateway)
    assert (told.type, told.reason) == ("unknown", "interrupted")
    assert gateway.sent == []


def test_an_interrupted_hand_over_with_keys_is_made_again(desk: Desk) -> None:
    gateway = Scripted(idempotent=True)
    assert desk.settle(gateway).type == "accepted"
    assert len(gateway.sent) == 1


def test_an_interrupted_hand_over_that_may_not_be_made_again_is_unknown(desk: Desk) -> None:
    desk.world.event(desk.world.told().consented(granted=False))
    gateway = Scripted(idempotent=True)
    told = desk.settle(gateway)
    assert (told.type, told.reason) == ("unknown", "no_consent")
    assert gateway.sent == []


# --- feedback -----------------------------------------------------------------------------------


def test_the_same_report_made_again_is_the_same_report(desk: Desk) -> None:
    first = desk.call(Scripted())
    desk.world.now += MINUTE
    second = desk.call(Scripted())
    assert first.feedback_id == second.feedback_id
    assert first.occurred_at != second.occurred_at
    rejected = desk.call(Scripted([Rejected("no")]))
    assert rejected.feedback_id != first.feedback_id


def _reports(desk: Desk) -> Iterator[Feedback]:
    yield desk.call(Scripted())
    yield desk.call(Scripted([LOST]))
    yield desk.call(Scripted([Rejected("no")]))
    yield desk.call(Scripted([Failed("no")] * 3))
    desk.world.event(desk.world.told().ordered("o-1", "p-1", cart="c-1"))
    judged = desk.judge()
    assert isinstance(judged, Refusal)
    yield judged.feedback


def test_every_report_is_one_that_intake_reads_and_the_fold_understands(desk: Desk) -> None:
    for told in _reports(desk):
        assert feedback.decode(feedback.encode(told)) == told
        assert told.type in REFUSALS | PROOFS
        wire = msgspec.json.decode(feedback.encode(told))
        assert set(wire) == {
            "v", "feedback_id", "action_id", "user_id", "channel", "provider", "type",
            "permanent", "reason", "provider_code", "occurred_at",
        }  # fmt: skip


@pytest.mark.parametrize("why", ["emptied", "out_of_stock"])
def test_a_refusal_gives_the_charge_back(desk: Desk, why: str) -> None:
    if why == "emptied":
        desk.world.event(desk.world.told().removed("p-1", cart="c-1"))
    else:
        desk.shelves.gone = {"p-1"}
    judged = desk.judge()
    assert isinstance(judged, Refusal)
    told = judged.feedback
    assert told.reason == why
    desk.world.event(desk.world.told().outcome(told.action_id, told.type, told.channel))
    assert [send.charged for send in desk.world.profile().sends] == [False]
