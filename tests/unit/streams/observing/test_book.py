"""The observer's book: brakes answer what is fresh, metrics show what was counted."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from engine import controls
from engine.events import SettingsRecord
from engine.times import HOUR, MINUTE
from monitoring.figures.acquisition import Cost, Origin, Origins
from monitoring.figures.plan import Plan
from monitoring.figures.seen import PURCHASE, Decided, Message, Order, Reported, Ruled, Seen, Terms
from monitoring.figures.shelf import Shelf
from streams.observing import kpi_file
from streams.observing.book import Book, recorder_of
from streams.observing.kept import pack, unpack
from streams.observing.minutes import Closed, Standing

_TABLE = kpi_file.load(None)
_START = 29_900_000 * MINUTE
_TERMS = Ruled(_START, SettingsRecord(), Terms("EUR", {"sms": 0.05}, {"cart": HOUR}))


def _book() -> Book:
    return Book(_TABLE, ["app"], "rekindle.", "one")


def _minute(number: int, facts: Iterable[Seen] = ()) -> Closed:
    return Closed(_START + number * MINUTE, list(facts), {("app", 0): Standing(number)})


def _bouncing(number: int, messages: int = 400, bounced: int = 40) -> Closed:
    at = _START + number * MINUTE - 1
    facts: list[Seen] = [_TERMS]
    for one in range(messages):
        action = number * 1_000 + one
        facts.append(Decided(at, action, one, action, "cart", "sms", "send", "sent", at, at))
        facts.append(Reported(at, action, "sms", "acme", "accepted", at))
        if one < bounced:
            facts.append(Reported(at, action, "sms", "acme", "bounced", at, permanent=True))
    return _minute(number, facts)


def test_bounces_above_the_limit_ask_for_a_pause_with_their_evidence() -> None:
    book, closed = _book(), _bouncing(1)
    book.close(closed, closed.end)
    (control,) = book.asked
    assert (control.actor, control.action, control.target) == ("brake", "pause", "channel:sms")
    assert control.evidence["rate"] == 0.1
    assert control.evidence["provider"] == "acme"


def test_a_channel_that_has_spent_its_plan_is_lowered_with_the_figures_and_only_where_planned() -> (
    None
):
    table = replace(_TABLE, plans=(Plan(channel="sms", per_day=300.0),))
    book, closed = Book(table, ["app"], "rekindle.", "one"), _bouncing(1, bounced=0)
    book.close(closed, closed.end)
    (control,) = book.asked
    assert (control.actor, control.action, control.target) == ("brake", "throttle", "channel:sms")
    assert control.after == 0.8
    assert (control.evidence["rule"], control.evidence["planned"]) == ("pace", 0.0)

    without = _book()
    without.close(_bouncing(1, bounced=0), closed.end)
    assert without.asked == []


def test_what_was_sent_of_a_plan_outlives_the_observer() -> None:
    table = replace(_TABLE, plans=(Plan(channel="sms", per_day=600.0),))
    first = Book(table, ["app"], "rekindle.", "one")
    closed = _bouncing(1, bounced=0)
    first.close(closed, closed.end)
    assert first.asked == []
    kept = unpack(pack(first.kept(closed.end, {}, [])), "rekindle.")
    assert kept is not None

    second = Book(table, ["app"], "rekindle.", "two")
    second.open(kept)
    closed = _bouncing(2, bounced=0)
    second.close(closed, closed.end)
    assert [control.action for control in second.asked] == ["throttle"]


def test_history_is_counted_and_answered_by_no_brake() -> None:
    book, closed = _book(), _bouncing(1)
    counts = book.close(closed, closed.end + HOUR)
    assert book.asked == []
    assert counts.of(("hard_bounced", "sms", "acme")) == 40


def test_in_simulated_time_brakes_do_not_pull_and_say_what_they_would_have_done() -> None:
    book = Book(_TABLE, ["app"], "rekindle.", "one", simulated=True)
    hour = -_START % HOUR // MINUTE + 60
    for number in range(1, hour + 1):
        closed = _bouncing(number) if number == hour - 5 else _minute(number)
        book.close(closed, closed.end)
    assert closed.end % HOUR == 0
    assert book.asked == []
    spoken, would = book.facts({}, []).notes[-2:]
    assert "brakes do not pull" in spoken
    assert "channel:sms" in would
    assert "10.0%" in would or "10 %" in would
    for number in range(hour + 1, hour + 26 * 60):
        book.close(_minute(number), closed.end)
    assert "brakes do not pull" in book.facts({}, []).notes[-1]


def test_in_simulated_time_figures_are_judged_by_the_hour() -> None:
    book = Book(_TABLE, ["app"], "rekindle.", "one", simulated=True)
    for number in range(1, 181):
        at = _START + number * MINUTE - 1
        book.close(_minute(number, [Message(at, "app", number)]), at)
    (records,) = [one for one in book.facts({}, []).series if one.kpi == "event_rate"]
    assert records.window_s == 3_600
    assert all(point.at % HOUR == 0 for point in records.points)
    assert [point.value for point in records.points][-2:] == [60, 60]


def test_few_bounces_ask_for_nothing() -> None:
    book, closed = _book(), _bouncing(1, bounced=10)
    book.close(closed, closed.end)
    assert book.asked == []


def test_a_channel_that_is_paused_is_not_paused_again() -> None:
    book = _book()
    paused = controls.pause("channel:sms", actor="operator:anna", at=_START)
    first = _minute(1, [Ruled(_START + 1, SettingsRecord(control=paused))])
    book.close(first, first.end)
    closed = _bouncing(2)
    book.close(closed, closed.end)
    assert book.asked == []


def test_what_is_kept_is_what_another_process_goes_on_from() -> None:
    book, closed = _book(), _bouncing(1)
    book.close(closed, closed.end)
    kept = unpack(pack(book.kept(closed.end, closed.standings, [])), "rekindle.")
    assert kept is not None
    other = _book()
    other.open(kept)

    following = _bouncing(2)
    assert other.close(following, following.end).sums == book.close(following, following.end).sums
    assert other.facts({}, []) == book.facts({}, [])
    assert kept.standings == closed.standings


def test_what_was_kept_of_other_topics_is_none_of_ours() -> None:
    assert unpack(pack(_book().kept(1, {}, [])), "other.") is None
    assert unpack(None, "rekindle.") is None


def test_metrics_show_what_the_closed_minutes_counted() -> None:
    book, recorder = _book(), recorder_of(_TABLE, ["app", "rekindle.feedback"])
    at = _START + MINUTE - 1
    order = Order(1, at, 20.0, "EUR")
    bought = Message(at, "app", 7, "email", PURCHASE, order=order)
    delivered = Reported(at, 1_000, "sms", "acme", "delivered", at + 4_000)
    closed = _bouncing(1)
    closed.facts.extend([bought, delivered, Reported(at, 77, "sms", "acme", "opened", at)])

    recorder.count(book.close(closed, closed.end))
    facts = book.facts({"app": closed.end}, [])
    recorder.stand(facts.series, {"age": 0.3})
    recorder.reached(facts.horizon)
    recorder.ran(closed.end)

    seen = _samples(recorder.render().decode())
    assert seen['funnel_steps_total{source="email",step="purchase"}'] == 1
    assert seen['order_value_total{source="email"}'] == 20
    assert seen['orders_total{source="search"}'] == 0
    assert seen['outcomes_total{channel="sms",provider="acme",type="accepted"}'] == 400
    assert seen['send_cost_total{channel="sms"}'] == pytest.approx(20.0)
    assert seen['delivery_delay_seconds_sum{channel="sms"}'] == 4.0
    assert seen['outcomes_unmatched_total{channel="sms"}'] == 1
    assert seen['kpi_value{dimension="sms",kpi="send_rate"}'] == 400
    assert seen['model_feature_drift_ratio{feature="age"}'] == 0.3
    assert seen['observer_horizon_timestamp_seconds{topic="app"}'] == closed.end / 1_000
    assert 'acquisition_cost_total{source="email"}' not in seen
    assert 'kpi_expected{dimension="sms",kpi="send_rate"}' not in seen


def test_the_series_of_a_provider_that_is_known_begin_at_0() -> None:
    recorder = recorder_of(_TABLE, ["app"])
    recorder.meet(["webhook"])

    seen = _samples(recorder.render().decode())

    assert seen['outcomes_total{channel="sms",provider="webhook",type="bounced"}'] == 0
    assert seen['hard_bounces_total{channel="sms",provider="webhook"}'] == 0


def test_only_what_bounces_for_good_is_a_hard_bounce() -> None:
    book, recorder = _book(), recorder_of(_TABLE, ["app"])
    at = _START + MINUTE - 1
    closed = _bouncing(1)
    before = recorder_of(_TABLE, ["app"])
    before.count(_book().close(closed, closed.end))
    closed.facts.append(Reported(at, 1_399, "sms", "acme", "bounced", at))

    recorder.count(book.close(closed, closed.end))

    bounced = 'outcomes_total{channel="sms",provider="acme",type="bounced"}'
    hard = 'hard_bounces_total{channel="sms",provider="acme"}'
    old, new = (_samples(one.render().decode()) for one in (before, recorder))
    assert (new[bounced] - old[bounced], new[hard] - old[hard]) == (1, 0)
    assert old[hard] > 0


@pytest.mark.parametrize(("currency", "cost"), [("EUR", 2.0), ("CNY", None)])
def test_what_visits_cost_in_another_currency_than_orders_is_not_known(
    currency: str, cost: float | None
) -> None:
    origins = Origins(origins=(Origin(name="search", cost=Cost(2.0, "visit")),))
    table = replace(_TABLE, origins=origins, currency=currency)
    book = Book(table, ["app"], "rekindle.", "one")
    book.close(_minute(1, [_TERMS]), _START)
    book.close(_minute(2, [Message(_START + MINUTE, "app", 1, "search")]), _START)

    told = book.facts({}, [])

    assert [row.cost for row in told.acquisition] == [cost]
    assert any("one currency" in note for note in told.notes) is (cost is None)


def test_a_series_that_is_no_longer_told_has_no_gauge_left() -> None:
    book, recorder = _book(), recorder_of(_TABLE, ["app"])
    closed = _bouncing(1)
    recorder.count(book.close(closed, closed.end))
    recorder.stand(book.facts({}, []).series, {"age": 1.0})
    recorder.stand([], {})
    seen = _samples(recorder.render().decode())
    assert not any(name.startswith(("kpi_value", "model_feature_drift")) for name in seen)


def _samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = sample.name.removeprefix("rekindle_")
            found[f"{name}{{{labels}}}" if labels else name] = sample.value
    return found


def test_stock_is_in_metrics_only_while_it_is_known() -> None:
    book, recorder = _book(), recorder_of(_TABLE, ["app"])
    closed = _minute(1)
    recorder.count(book.close(closed, closed.end))
    shelf = Shelf()
    shelf.tell("p1", 0, "")
    shelf.tell("p2", None, "")

    recorder.stock(book.facts({}, [], shelf).stock)
    known = _samples(recorder.render().decode())
    recorder.stock(book.facts({}, []).stock)
    unknown = _samples(recorder.render().decode())

    assert known['products{seller="other",state="sold_out"}'] == 1
    assert known['products{seller="best",state="sold_out"}'] == 0
    assert known['products{seller="other",state="unknown"}'] == 1
    assert not [name for name in unknown if name.startswith("products{")]
