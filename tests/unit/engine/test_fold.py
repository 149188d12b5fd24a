"""What one event does to what we know, detail by detail."""

import pytest

from engine import profile as bounds
from engine.changes import Change, Memory
from engine.events import Event
from engine.fold import fold
from engine.profile import Addresses, Profile, Send
from engine.sends import charge, fatigue
from engine.times import DAY, MINUTE
from tests.support.builders import START, Told, a_line

MEMORY = Memory(keep_sends=7 * DAY, currency="CNY")


def folded(*events: Event, profile: Profile | None = None) -> Profile:
    profile = Profile() if profile is None else profile
    for event in events:
        fold(profile, Addresses(), event, MEMORY)
    return profile


def at(minutes: float) -> Told:
    return Told(at=START + int(minutes * MINUTE))


def quantities(profile: Profile, cart: str = "") -> dict[str, int]:
    found = profile.cart(cart)
    return {line.product_id: line.quantity for line in found.held()} if found else {}


# --- carts --------------------------------------------------------------------------------------


def test_the_same_product_twice_is_one_line() -> None:
    assert quantities(folded(at(0).added("coat"), at(1).added("coat", 2))) == {"coat": 3}


def test_taking_out_more_than_there_is_leaves_none() -> None:
    profile = folded(at(0).added("coat"), at(1).removed("coat", 5), at(2).added("coat"))

    assert quantities(profile) == {"coat": 1}


def test_taking_out_what_we_never_saw_put_in_does_not_eat_what_comes_later() -> None:
    assert quantities(folded(at(0).removed("coat", 1), at(1).added("coat"))) == {"coat": 1}


def test_all_of_it_taken_out_at_the_same_moment_wins() -> None:
    assert quantities(folded(at(0).removed("coat"), at(0).added("coat"))) == {}


def test_a_cart_seen_in_full_replaces_what_we_knew() -> None:
    profile = folded(at(0).added("coat"), at(1).cart("hat"))

    assert quantities(profile) == {"hat": 1}


def test_a_late_edit_from_before_the_cart_was_seen_does_not_count() -> None:
    profile = folded(at(2).cart("hat"), at(1).added("coat"))

    assert quantities(profile) == {"hat": 1}


def test_an_edit_after_the_cart_was_seen_counts_in_any_order() -> None:
    seen, edit = at(2).cart("hat"), at(3).added("hat")

    assert quantities(folded(seen, edit)) == quantities(folded(edit, seen)) == {"hat": 2}


def test_a_product_listed_twice_in_a_cart_is_counted_twice() -> None:
    profile = folded(at(0).cart(lines=[a_line("coat", 1), a_line("coat", 2)]))

    assert quantities(profile) == {"coat": 3}


def test_two_views_in_one_millisecond_agree_in_any_order() -> None:
    one, other = at(0).cart("coat"), at(0).cart("hat", "coat")

    assert quantities(folded(one, other)) == quantities(folded(other, one)) == {"coat": 1, "hat": 1}


def test_the_price_of_the_newest_addition_stands() -> None:
    for events in (
        [at(0).added(price=5.0), at(1).added(price=6.0), at(2).removed(quantity=1)],
        [at(0).added(price=5.0), at(2).removed(quantity=1), at(1).added(price=6.0)],
    ):
        cart = folded(*events).cart("")
        assert cart is not None
        assert cart.lines[0].price == 6.0


def test_a_value_needs_every_price_in_the_shops_currency() -> None:
    priced = folded(at(0).added("coat", 2), at(0).added("hat")).cart("")
    unpriced = folded(at(0).added("coat"), at(0).added("hat", price=None)).cart("")
    assert priced is not None
    assert unpriced is not None

    assert priced.value("CNY") == 300.0
    assert priced.value("EUR") is None
    assert unpriced.value("CNY") is None


def test_the_oldest_of_nine_carts_gives_way_and_says_so() -> None:
    profile = folded(*[at(number).added("p", cart=f"c-{number}") for number in range(8)])

    change = fold(profile, None, at(9).added("p", cart="c-9"), MEMORY)

    assert change.bounded == ("carts",)
    assert set(change.carts) == {"c-9", "c-0"}
    assert profile.cart("c-0") is None


def test_a_late_edit_of_a_bought_cart_pushes_no_other_cart_out() -> None:
    profile = folded(at(5).ordered("p", cart="bought"))
    folded(*[at(6).added("p", cart=f"c-{number}") for number in range(8)], profile=profile)

    change = fold(profile, None, at(4).added("p", cart="bought"), MEMORY)

    assert change == Change()
    assert len(profile.carts) == bounds.MAX_CARTS


def test_the_oldest_lines_give_way() -> None:
    profile = folded(*[at(number).added(f"p-{number}") for number in range(20)])

    assert len(quantities(profile)) == bounds.MAX_LINES
    assert "p-19" in quantities(profile)
    assert "p-0" not in quantities(profile)


def test_many_changes_of_one_line_are_summed_up() -> None:
    profile = folded(*[at(number).added("coat") for number in range(30)])
    (line,) = profile.carts[0].lines

    assert line.quantity == 30
    assert len(line.changes) <= bounds.MAX_CHANGES


def test_absurd_quantities_are_bounded() -> None:
    profile = folded(at(0).added("coat", 2**80), at(1).removed("coat", 2**90))

    assert quantities(profile) == {}


# --- orders -------------------------------------------------------------------------------------


def test_an_order_that_names_its_cart_ends_it_and_no_other() -> None:
    profile = folded(
        at(0).added("coat", cart="a"),
        at(0).added("coat", cart="b"),
        at(1).ordered("coat", cart="a"),
    )

    assert quantities(profile, "a") == {}
    assert quantities(profile, "b") == {"coat": 1}


def test_an_order_without_a_cart_ends_the_unnamed_one_and_takes_its_products_from_the_others() -> (
    None
):
    profile = folded(
        at(0).added("tent"),
        at(0).added("coat", cart="a"),
        at(0).added("hat", cart="a"),
        at(1).ordered("coat"),
    )

    assert quantities(profile) == {}
    assert quantities(profile, "a") == {"hat": 1}


def test_what_she_adds_after_the_order_stays() -> None:
    order, added = at(1).ordered("coat"), at(2).added("coat")

    assert quantities(folded(order, added)) == quantities(folded(added, order)) == {"coat": 1}


def test_the_checkout_may_arrive_after_its_order() -> None:
    profile = folded(
        at(0).added("coat", cart="a"),
        at(2).ordered("else", checkout="k-1"),
        at(1).checkout("k-1", "a"),
    )

    assert quantities(profile, "a") == {}


def test_of_two_checkouts_of_a_cart_the_later_one_links_it_whatever_arrives_first() -> None:
    for first, second in ((1, 2), (2, 1)):
        profile = folded(
            at(0).added("coat", cart="a"),
            at(first).checkout(f"k-{first}", "a"),
            at(second).checkout(f"k-{second}", "a"),
            at(3).ordered("else", checkout="k-2"),
        )
        assert quantities(profile, "a") == {}


def test_a_cart_ended_by_its_checkout_is_not_reopened_by_a_late_edit() -> None:
    profile = folded(
        at(0).added("coat", cart="a"), at(1).checkout("k-1", "a"), at(2).ordered(checkout="k-1")
    )

    change = fold(profile, None, at(0.5).added("hat", cart="a"), MEMORY)

    assert change.carts == ()
    assert quantities(profile, "a") == {}


def test_an_order_sent_again_counts_once() -> None:
    profile = folded(at(0).ordered("coat"), at(1).ordered("coat", "hat"))

    assert len(profile.orders) == 1
    assert profile.orders[0].at == START
    assert [line.product_id for line in profile.orders[0].lines] == ["coat", "hat"]
    assert profile.orders_seen == 1


def test_a_refund_seen_before_its_order_does_not_freeze_it() -> None:
    profile = folded(at(5).refunded("o-1", "hat"), at(0).ordered("hat", "coat"))
    folded(at(1).ordered("hat", "coat", "tent"), profile=profile)

    assert [line.product_id for line in profile.orders[0].kept()] == ["coat", "tent"]


def test_three_refunds_that_sum_to_the_total_up_to_rounding_are_a_full_refund() -> None:
    refunds = [at(1 + part).refunded(total=amount) for part, amount in enumerate((0.1, 0.2, 0.4))]
    profile = folded(at(0).ordered("coat", total=0.7), *refunds)

    assert not profile.orders[0].stands


def test_a_refund_without_words_is_of_everything_and_one_of_half_is_not() -> None:
    assert not folded(at(0).ordered("coat"), at(1).refunded()).orders[0].stands
    assert folded(at(0).ordered("coat"), at(1).refunded(total=50.0)).orders[0].stands


def test_refunds_of_unknown_orders_do_not_push_out_what_she_bought() -> None:
    profile = folded(at(0).ordered("coat", order="mine"))
    folded(*[at(1 + number).refunded(f"x-{number}") for number in range(40)], profile=profile)

    assert profile.order("mine") is not None
    assert len(profile.orders) == bounds.MAX_ORDERS


def test_only_the_newest_orders_keep_their_lines() -> None:
    profile = folded(*[at(number).ordered("coat", order=f"o-{number}") for number in range(6)])

    assert [bool(order.lines) for order in profile.orders] == [False, False, True, True, True, True]


def test_the_first_delivery_counts() -> None:
    profile = folded(at(0).ordered("coat"), at(9).delivered(), at(5).delivered())

    assert profile.orders[0].delivered_at == START + 5 * MINUTE


def test_the_mean_order_is_of_orders_in_the_shops_currency() -> None:
    foreign = fold(profile := Profile(), None, at(0).ordered("coat", total=80.0), Memory())
    assert foreign.orders
    assert profile.orders_seen == 0

    known = folded(at(0).ordered("coat", total=80.0), at(1).ordered("hat", order="o-2", total=40.0))
    assert (known.orders_seen, known.orders_value) == (2, 120.0)


# --- sends --------------------------------------------------------------------------------------


def test_a_send_is_kept_as_long_as_the_longest_window_and_then_forgotten_openly() -> None:
    profile = Profile()
    charge(profile, Send(START, "cart", "push", "a-1"), MEMORY)
    charge(profile, Send(START + 6 * DAY, "cart", "push", "a-2"), MEMORY)
    assert len(profile.sends) == 2
    assert profile.sends_lost_at == 0

    charge(profile, Send(START + 7 * DAY, "cart", "push", "a-3"), MEMORY)

    assert [send.action_id for send in profile.sends] == ["a-2", "a-3"]
    assert profile.sends_lost_at == START


def test_a_send_dated_in_the_future_does_not_hide_that_others_were_forgotten() -> None:
    profile = folded(at(0).queued("a-1"), Told(at=START + 400 * DAY).sent_elsewhere())

    assert profile.sends_lost_at == START


def test_more_sends_than_fit_are_forgotten_openly() -> None:
    events = [Told(at=START + number).queued(f"a-{number}") for number in range(70)]
    change = Change()
    profile = Profile()
    for event in events:
        change = fold(profile, None, event, MEMORY)

    assert change.bounded == ("sends",)
    assert len(profile.sends) == bounds.MAX_SENDS
    assert profile.sends_lost_at == START + 5


def test_fatigue_fades_by_half_in_a_week_and_is_given_back_with_the_charge() -> None:
    profile = folded(at(0).queued("a-1"), at(0).queued("a-2"))
    assert fatigue(profile, START) == 2.0
    assert fatigue(profile, START + 7 * DAY) == 1.0

    folded(at(1).outcome("a-1", "failed"), profile=profile)
    assert fatigue(profile, START) == 1.0
    folded(at(2).outcome("a-1", "delivered"), profile=profile)
    assert fatigue(profile, START) == 2.0


def test_reports_in_any_order_give_the_same_state() -> None:
    reports = [at(3).outcome("a-1", "failed"), at(2).outcome("a-1", "opened")]
    one = folded(at(0).queued("a-1"), *reports).sends
    other = folded(at(0).queued("a-1"), *reversed(reports)).sends

    assert one == other
    assert one[0].outcomes == {"failed": 180, "opened": 120}
    assert one[0].charged


def test_a_machine_that_opens_is_no_sign_of_life() -> None:
    profile = folded(at(0).queued("a-1"), at(5).outcome("a-1", "opened", machine=True))

    assert profile.last_seen == 0
    assert profile.engagement == {}


def test_her_own_click_is_counted_in_its_four_hours() -> None:
    profile, memory = Profile(), Memory(hour=lambda zones, at: 13)

    fold(profile, None, at(0).outcome("a-1", "clicked"), memory)

    assert profile.engagement == {"push": [0, 0, 0, 1, 0, 0]}
    assert profile.last_seen == START


# --- identity, signs of life --------------------------------------------------------------------


def test_an_event_twice_is_an_event_once() -> None:
    event = at(0).added("coat")
    profile = folded(event)

    assert fold(profile, None, event, MEMORY).ignored == "duplicate"
    assert quantities(profile) == {"coat": 1}


def test_the_thirty_third_event_forgets_the_first_id() -> None:
    first = at(0).viewed()
    profile = folded(first, *[at(number).viewed() for number in range(31)])
    assert fold(profile, None, first, MEMORY).ignored == "duplicate"

    folded(at(40).viewed(), profile=profile)

    assert fold(profile, None, first, MEMORY).ignored == ""


def test_what_others_do_is_no_sign_of_life() -> None:
    profile = folded(at(0).sent_elsewhere(), at(0).queued("a"), at(1).outcome("a", "delivered"))

    assert (profile.first_seen, profile.last_seen) == (0, 0)


def test_seen_first_and_last_by_event_time() -> None:
    profile = folded(at(5).viewed(), at(1).active(), at(3).searched())

    assert (profile.first_seen, profile.last_seen) == (START + MINUTE, START + 5 * MINUTE)


def test_counters_fade_with_their_half_lives() -> None:
    profile = folded(at(0).viewed(), Told(at=START + DAY).viewed())

    assert profile.counters.short[0] == 1.5
    assert profile.counters.long[0] == pytest.approx(1 + 2 ** (-1 / 30), rel=1e-12)


def test_an_address_is_remembered_by_its_hash_and_kept_apart() -> None:
    profile, addresses = Profile(), Addresses()

    fold(profile, addresses, at(0).identified({"push": "token"}), MEMORY)

    assert addresses.by_channel == {"push": ("token", START)}
    assert b"token" not in bounds.encode(profile)


def test_an_older_address_that_arrives_later_changes_nothing() -> None:
    addresses, profile = Addresses(), Profile()
    fold(profile, addresses, at(5).identified({"push": "new"}), MEMORY)
    fold(profile, addresses, at(1).identified({"push": "old"}), MEMORY)

    assert addresses.by_channel["push"][0] == "new"


def test_what_nobody_would_believe_of_channels_is_bounded() -> None:
    profile = Profile()
    for number in range(50):
        fold(profile, None, at(number).identified({f"ch-{number}": "x"}), MEMORY)
        fold(profile, None, at(number).outcome("a", "clicked", f"ch-{number}"), MEMORY)

    assert len(profile.reach) == 16
    assert len(profile.engagement) == 16


def test_of_yes_and_no_at_the_same_moment_no_stands() -> None:
    yes, no = at(0).consented("push"), at(0).consented("push", granted=False)
    for events in ((yes, no), (no, yes)):
        word = folded(*events).consent("marketing", "push")
        assert word is not None
        assert not word.granted


def test_when_consents_are_too_many_a_yes_is_forgotten_before_a_no() -> None:
    profile = folded(at(0).consented("push", granted=False))
    for number in range(30):
        folded(at(number).consented(f"ch-{number}"), profile=profile)

    assert len(profile.consents) == 24
    word = profile.consent("marketing", "push")
    assert word is not None
    assert not word.granted
