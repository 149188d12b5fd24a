"""Single figures: what is bounded, what is unknown, what the page is told."""

import pytest

from engine.events import SettingsRecord
from engine.times import DAY, HOUR, MINUTE
from monitoring.figures import page
from monitoring.figures.acquisition import Cost, Origin, Origins
from monitoring.figures.bounded import Best, Day, Rank
from monitoring.figures.catalogue import FIGURES, Known, Share, Window
from monitoring.figures.counts import Counts
from monitoring.figures.drift import FEWEST, Bins, Drift
from monitoring.figures.seen import (
    PURCHASE,
    Decided,
    Message,
    Order,
    Reported,
    Ruled,
    Seen,
    Sold,
    Terms,
)
from monitoring.figures.sends import Answers, Sends, band_of
from monitoring.figures.shop import MOST_PROVIDERS, Figures, in_order
from monitoring.figures.told import Facts, as_facts, of_facts

_TERMS = Terms("EUR", {"push": 0.01}, {"cart": HOUR})
_KNOWN = Known(("app",), ("push", "sms"), ("acme",), ("search", "direct"))


def _decided(at: int, number: int, reason: str = "sent", *, user: int = 1) -> Decided:
    outcome = "send" if reason == "sent" else "suppress"
    return Decided(at, number, user, number, "cart", "push", outcome, reason, at, at, p0=0.1)


def _bought(at: int, number: int, value: float | None = 10.0, currency: str = "EUR") -> Message:
    lines = (Sold("p1", "Shoe", "shoes", 2, value),)
    order = Order(number, at, value, currency, lines)
    return Message(at, "app", 1, "search", PURCHASE, order=order)


def _closed(
    figures: Figures, end: int, *facts: Seen, costs: dict[str, Cost] | None = None
) -> Counts:
    told = in_order([("t", 0, number, fact) for number, fact in enumerate(facts)])
    return figures.close(end, told, costs or {})


# --- money ----------------------------------------------------------------------------------------


def test_an_order_in_another_currency_is_an_order_without_value() -> None:
    figures = Figures(terms=_TERMS)
    counts = _closed(figures, MINUTE, _bought(1, 1), _bought(2, 2, 99.0, "CNY"))
    assert counts.of(("orders", "search")) == 2
    assert counts.of(("order_value", "search")) == 10.0


def test_an_order_told_again_counts_once() -> None:
    figures = Figures(terms=_TERMS)
    first = _closed(figures, MINUTE, _bought(1, 1))
    again = _closed(figures, 2 * MINUTE, _bought(MINUTE + 1, 1, 12.0))
    assert first.of(("orders", "search")) == 1
    assert again.of(("orders", "search")) == 0


def test_a_source_costs_by_its_visits_or_by_the_day_and_otherwise_nobody_knows() -> None:
    costs = {"search": Cost(0.5, "visit"), "direct": Cost(1440.0, "day")}
    figures = Figures(terms=_TERMS)
    counts = _closed(
        figures,
        MINUTE,
        Message(1, "app", 1, "search"),
        Message(2, "app", 2, "search"),
        Message(3, "app", 3, "email"),
        costs=costs,
    )
    assert counts.of(("acquisition_cost", "search")) == 1.0
    assert counts.of(("acquisition_cost", "direct")) == pytest.approx(1.0)
    rows = {
        row.source: row
        for row in page.acquisition(figures.day.totals(), ("search", "direct", "email"), costs)
    }
    assert rows["search"].cost == 1.0
    assert rows["search"].cpa is None  # no order: no cost of an order
    assert rows["search"].roi == -1.0
    assert (rows["email"].cost, rows["email"].cpa, rows["email"].roi) == (None, None, None)
    assert "email" in page.notes(figures, ("search", "email"), costs)[0]


# --- arms -----------------------------------------------------------------------------------------


def test_an_arm_is_counted_when_its_window_is_over_and_not_before() -> None:
    figures = Figures(terms=_TERMS)
    _closed(figures, MINUTE, _decided(10, 1), _decided(20, 2, "would_send_holdout", user=2))
    _closed(figures, 2 * MINUTE, _bought(MINUTE + 5, 1))
    counts = Counts()
    for minute in range(3, 130):
        counts = _closed(figures, minute * MINUTE)
        if counts.of(("arm", "push", "treated")):
            break
    # one hour of window and one of grace
    assert minute == 121
    assert counts.of(("arm_ordered", "push", "treated")) == 1
    assert counts.of(("arm", "push", "withheld")) == 1
    assert counts.of(("arm_ordered", "push", "withheld")) == 0
    assert counts.of(("predicted", str(band_of(0.1)))) == pytest.approx(0.1)
    row = page.channels(figures, figures.day.totals(), ("push",))[0]
    assert (row.treated_rows, row.withheld_rows, row.lift) == (1, 1, 1.0)
    assert row.lift_low is not None
    assert row.lift_low < 1.0


@pytest.mark.parametrize(("late", "counted"), [(-1, 1.0), (0, 1.0), (1, 0.0)])
def test_an_order_counts_up_to_the_end_of_the_window_and_no_later(
    late: int, counted: float
) -> None:
    figures = Figures(terms=_TERMS)
    _closed(figures, MINUTE, _decided(10, 1))
    end = 10 + HOUR
    bought = _closed(figures, 62 * MINUTE, _bought(end + late, 1))
    assert bought.of(("converted", "push")) == counted
    assert bought.of(("revenue", "push")) == 10.0 * counted
    over = _closed(figures, 122 * MINUTE)
    assert over.of(("arm", "push", "treated")) == 1.0
    assert over.of(("arm_ordered", "push", "treated")) == counted


def test_an_order_that_was_read_before_the_decision_it_follows_counts_for_it() -> None:
    figures = Figures(terms=_TERMS)
    _closed(figures, MINUTE, _bought(30_000, 1))
    late = Decided(MINUTE + 1, 1, 1, 1, "cart", "push", "send", "sent", 20_000, 20_000)
    _closed(figures, 2 * MINUTE, late)
    assert figures.sends.rows[1][0].ordered


def test_a_tester_is_in_no_arm() -> None:
    figures = Figures(terms=_TERMS)
    tester = Decided(1, 1, 1, 1, "cart", "push", "send", "sent", 1, 1, tester=True)
    _closed(figures, MINUTE, tester)
    assert figures.sends.rows == {}


def test_beyond_its_bound_an_arm_keeps_a_fair_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.figures.sends._MOST_ANSWERS", 100)
    answers = Answers()
    for user in range(1_000):
        lot = (user * 2_654_435_761) % 2**32
        answers.take(lot, ordered=user % 4 == 0)
    assert len(answers.people) <= 100
    assert answers.share < 1.0
    ordered = sum(k for _, k in answers.people.values()) / len(answers.people)
    assert 0.1 < ordered < 0.4


def test_the_person_who_was_spoken_to_longest_ago_is_forgotten_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitoring.figures.sends.MOST_PEOPLE", 2)
    sends, counts = Sends(), Counts()
    for number, user in enumerate((1, 2, 1, 3)):
        sends.decide(_decided(number, number + 1, user=user), _TERMS, counts)
    assert set(sends.touches) == {1, 3}


def test_rows_beyond_the_bound_drop_people_and_never_single_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitoring.figures.sends.MOST_ROWS", 50)
    sends, counts = Sends(), Counts()
    for number in range(400):
        user = (number % 100) * 2_654_435_761 % 2**32
        sends.decide(_decided(number, number + 1, user=user), _TERMS, counts)
        assert sends.row_count == sum(map(len, sends.rows.values())) <= 50
    assert sends.followed < 1.0


# --- outcomes -------------------------------------------------------------------------------------


def test_an_outcome_told_twice_counts_once_and_one_of_a_machine_not_at_all() -> None:
    figures = Figures(terms=_TERMS)
    counts = _closed(
        figures,
        MINUTE,
        _decided(1, 9),
        Reported(2, 9, "push", "acme", "delivered", 30_001),
        Reported(3, 9, "push", "acme", "delivered", 30_001),
        Reported(4, 9, "push", "acme", "opened", 4, machine=True),
        Reported(5, 77, "push", "acme", "opened", 4),
    )
    assert counts.of(("outcomes", "push", "acme", "delivered")) == 1
    assert counts.of(("outcomes", "push", "acme", "opened")) == 0
    assert counts.of(("unmatched", "push")) == 1
    assert counts.values["delivery_delay", "push"] == [30.0]


def test_a_bounce_for_good_counts_beside_the_messages_of_who_spoke_first() -> None:
    """Or the brake would see bounces of a provider without a message, and never act."""
    figures = Figures(terms=_TERMS)
    said = [
        Reported(2, 1, "push", "webhook", "accepted", 2),
        Reported(3, 1, "push", "acme", "bounced", 3),
        Reported(4, 1, "push", "acme", "bounced", 4, permanent=True),
        Reported(5, 1, "push", "acme", "bounced", 5, permanent=True),
    ]
    counts = _closed(figures, MINUTE, _decided(1, 1), *said)
    assert counts.of(("hard_bounced", "push", "webhook")) == 1
    assert counts.of(("handed", "push", "webhook")) == 1
    assert counts.of(("hard_bounced", "push", "acme")) == 0


def test_providers_beyond_the_bound_are_other_for_good() -> None:
    figures = Figures(terms=_TERMS)
    for number in range(MOST_PROVIDERS + 2):
        provider = f"p{number}"
        end = (number + 1) * MINUTE
        facts = (
            _decided(end - 2, number + 1),
            Reported(end - 1, number + 1, "push", provider, "accepted", end - 1),
        )
        counts = _closed(figures, end, *facts)
        told = provider if number < MOST_PROVIDERS else "other"
        assert counts.of(("outcomes", "push", told, "accepted")) == 1


def test_opens_are_compared_at_the_age_of_four_hours() -> None:
    figures = Figures(terms=_TERMS)
    _closed(figures, MINUTE, _decided(1, 9), Reported(2, 9, "push", "acme", "delivered", 2))
    _closed(figures, 2 * MINUTE, Reported(MINUTE + 1, 9, "push", "acme", "opened", MINUTE))
    found = [
        minute
        for minute in range(3, 300)
        if _closed(figures, minute * MINUTE).of(("cohort_opened", "push"))
    ]
    assert found == [241]


# --- bounded counts -------------------------------------------------------------------------------


def test_a_day_forgets_the_hour_before_its_last_twenty_four() -> None:
    day = Day()
    for hour in range(40):
        day.add(hour * HOUR, {("orders", "direct"): 1.0})
    assert day.totals() == {("orders", "direct"): 25.0}
    assert day.since == 15 * HOUR


def test_the_best_sold_are_right_though_the_least_gave_way() -> None:
    best = Best(most=10)
    for number in range(500):
        name = "winner" if number % 2 else f"p{number}"
        best.add(0, [(name, Rank(1, 1.0))])
        assert len(best.hours[0]) <= 10
    assert best.top(1) == [("winner", Rank(250, 250.0))]


def test_sales_are_told_by_product_and_category() -> None:
    figures = Figures(terms=_TERMS)
    _closed(figures, MINUTE, _bought(1, 1), _bought(2, 2))
    told = page.sales(figures)
    assert [(row.product_id, row.quantity, row.value) for row in told.products] == [("p1", 4, 20.0)]
    assert [(row.category, row.quantity) for row in told.categories] == [("shoes", 4)]
    assert told.products[0].stock is None


def test_a_message_of_nobody_is_a_record_and_no_visit() -> None:
    counts = _closed(Figures(terms=_TERMS), MINUTE, Message(1, "app", 0))
    assert counts.sums == {("records", "app"): 1.0}


def test_products_sold_in_another_currency_have_pieces_and_no_value() -> None:
    figures = Figures(terms=_TERMS)
    _closed(figures, MINUTE, _bought(1, 1), _bought(2, 2, 99.0, "CNY"))
    told = page.sales(figures)
    assert [(row.quantity, row.value) for row in told.products] == [(4, 10.0)]
    assert [(row.quantity, row.value) for row in told.categories] == [(4, 10.0)]


def test_a_day_without_a_sale_forgets_those_before_it() -> None:
    figures = Figures(terms=_TERMS)
    _closed(figures, MINUTE, _bought(1, 1))
    _closed(figures, 25 * HOUR)
    assert page.sales(figures).products
    _closed(figures, 25 * HOUR + MINUTE)
    assert page.sales(figures).products == []


# --- drift ----------------------------------------------------------------------------------------


def _scored(at: int, number: int, value: float | None) -> Decided:
    return Decided(
        *(at, number, 1, 0, "cart", "push", "suppress", "not_worth_it", at, at),
        features={"age": value},
        schema="s1",
    )


def test_drift_is_not_known_in_the_first_week_and_seen_after_it() -> None:
    drift = Drift()
    for number in range(FEWEST):
        drift.take(_scored(number, number, float(number % 20)))
    drift.close(6 * DAY)
    assert drift.psi() == {}
    drift.close(7 * DAY + FEWEST)
    assert drift.psi() == {}  # the week is over, and nobody was scored since
    drift.take(_scored(7 * DAY + HOUR, 999, 1.0))
    assert drift.psi() == {}
    now = 7 * DAY + HOUR
    for number in range(FEWEST):
        drift.take(_scored(now, 1_000 + number, float(number % 20)))
    drift.close(now)
    assert drift.psi()["age"] < 0.01
    later = now + 30 * HOUR
    for number in range(FEWEST):
        drift.take(_scored(later, 2_000 + number, 19.0 if number % 2 else None))
    drift.close(later)
    assert drift.psi()["age"] > 1.0


def test_a_new_schema_begins_a_new_baseline() -> None:
    drift = Drift()
    drift.take(_scored(1, 1, 1.0))
    drift.take(
        Decided(2, 2, 1, 0, "c", "p", "suppress", "x", 2, 2, features={"b": 1.0}, schema="s2")
    )
    assert (drift.schema, drift.names) == ("s2", ["b"])
    assert [len(day) for day in drift.days.values()] == [1]


def _drifted() -> Figures:
    """Return a shop that is unlike its first week since more than a week."""
    figures = Figures(terms=_TERMS)
    for day in range(15):
        value = 1.0 if day < 7 else 2.0
        at = day * DAY + HOUR
        _closed(figures, at, *(_scored(at, day * FEWEST + one, value) for one in range(FEWEST)))
    return figures


def test_a_new_model_is_held_against_the_week_before_it() -> None:
    figures = _drifted()
    assert figures.drift.psi()["age"] > 1.0
    at = 15 * DAY
    _closed(figures, at, Ruled(at, SettingsRecord(model="m2")))
    assert figures.drift.psi() == {}  # nobody was scored by it
    _closed(figures, at + MINUTE, *(_scored(at, 9_000 + one, 2.0) for one in range(FEWEST)))
    assert figures.drift.psi()["age"] < 0.01


def test_settings_that_leave_the_model_leave_what_it_is_held_against() -> None:
    figures = _drifted()
    drifted = figures.drift.psi()
    at = 15 * DAY
    _closed(figures, at, Ruled(at, SettingsRecord(campaigns="c2")))
    assert figures.drift.psi() == drifted


def test_psi_is_that_of_the_textbook() -> None:
    bins = Bins([1.0], [0.5, 0.5, 0.0])
    # (0.8 - 0.5) ln(0.8 / 0.5) + (0.2 - 0.5) ln(0.2 / 0.5)
    assert bins.psi([80, 20, 0]) == pytest.approx(0.41588830833596723)


# --- origins --------------------------------------------------------------------------------------

_LIST = Origins(
    origins=(
        Origin(name="paid", utm_medium=("cpc",)),
        Origin(name="search", referrer=("google.com",)),
    ),
    own=("shop.example",),
)


@pytest.mark.parametrize(
    ("source", "medium", "host", "name"),
    [
        ("google", "CPC", "", "paid"),
        ("google", "cpc", "www.google.com", "paid"),
        ("", "", "www.google.com", "search"),
        ("", "", "notgoogle.com", "other"),
        ("spring", "leaflet", "www.google.com", "other"),
        ("", "", "www.shop.example", ""),
        ("", "", "", ""),
    ],
)
def test_where_a_message_came_from(source: str, medium: str, host: str, name: str) -> None:
    assert _LIST.name(source, medium, host) == name


# --- catalogue ------------------------------------------------------------------------------------


def test_what_counts_is_nought_where_nothing_came_and_what_divides_is_missing() -> None:
    window = Window()
    assert FIGURES["sent"].read(window, _KNOWN) == {("push",): 0.0, ("sms",): 0.0}
    assert all(
        not figure.read(window, _KNOWN) for figure in FIGURES.values() if figure.kind != "count"
    )


def test_every_figure_has_one_value_per_label() -> None:
    counts = Counts()
    for name in ("records", "unreadable"):
        counts.add((name, "app"))
    for name in ("traffic", "orders", "acquisition_cost", "order_value"):
        counts.add((name, "search"), 4.0)
    for name in ("sent", "cohort", "cohort_opened", "cohort_clicked"):
        counts.add((name, "push"))
    counts.add(("arm", "push", "treated"))
    counts.add(("handed", "push", "acme"))
    counts.add(("outcomes", "push", "acme", "accepted"))
    counts.add(("passed", "search", "visit-product", "n"))
    counts.add(("scored",))
    for key in (("decision_lateness",), ("action_delay", "push"), ("psi",)):
        counts.note(key, 1.0)
    window = Window()
    window.add(counts)
    for figure in FIGURES.values():
        found = figure.read(window, _KNOWN)
        assert found, figure.name
        for dimension, value in found.items():
            assert len(dimension) == len(figure.labels)
            assert isinstance(value, Share) == (figure.kind == "share")


def test_a_quantile_is_known_to_a_twentieth() -> None:
    counts = Counts()
    for number in range(1, 1_001):
        counts.note(("decision_lateness",), float(number))
    window = Window()
    window.add(counts)
    assert window.quantile(("decision_lateness",), 0.95) == pytest.approx(950, rel=0.05)


# --- what is told ---------------------------------------------------------------------------------


def test_facts_survive_the_way_to_the_page() -> None:
    figures = Figures()
    _closed(figures, MINUTE, Ruled(1, SettingsRecord(), _TERMS), _decided(2, 1), _bought(3, 1))
    totals = figures.day.totals()
    facts = Facts(
        until=figures.until,
        behaviour=page.behaviour(totals),
        channels=page.channels(figures, totals, ("push", "sms")),
        acquisition=page.acquisition(totals, ("search",), {}),
        sales=page.sales(figures),
        reasons=page.reasons(totals),
        model=page.model(figures, totals),
        notes=page.notes(figures, ("search",), {}),
    )
    assert of_facts(as_facts(facts)) == facts
    assert facts.channels[0].cost == 0.01
    assert facts.channels[1].cost is None
