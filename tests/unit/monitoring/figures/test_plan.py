"""What will go out until midnight, held against what was planned."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.times import DAY, HOUR, MINUTE
from monitoring.figures.plan import Ahead, Plan, Sent

PLAN = Plan(channel="sms", per_day=1_000.0)
# A Monday's midnight, UTC.
MIDNIGHT = 20_000 * DAY
# Messages a minute, by hour: nothing at night, a crowd at eight, few in the evening.
USUAL = [0] * 8 + [10] + [1] * 11 + [0] * 4


def _day(
    sent: Sent, day: int, *, hours: int = 24, times: int = 1, plan: Plan = PLAN
) -> Ahead | None:
    told: Ahead | None = None
    for minute in range(1, hours * 60 + 1):
        at = MIDNIGHT + day * DAY + minute * MINUTE
        told = sent.close(plan, at, times * USUAL[(minute - 1) // 60])
    return told


def test_a_crowd_in_the_morning_says_nothing_of_the_evening() -> None:
    sent = Sent()
    _day(sent, 0)
    told = _day(sent, 1, hours=9)
    assert told is not None
    assert told.planned == 400
    assert told.projected == pytest.approx(10 * 60 * 1.1)


def test_twice_as_much_as_usual_is_seen_in_the_first_minutes_of_it() -> None:
    sent = Sent()
    _day(sent, 0)
    _day(sent, 1, hours=8)
    for minute in range(1, 11):
        told = sent.close(PLAN, MIDNIGHT + DAY + 8 * HOUR + minute * MINUTE, 20)
    assert told is not None
    assert told.planned == 800
    assert told.projected == pytest.approx(20 * 60 * (50 / 60 + 1.1), abs=0.1)


def test_without_a_day_to_compare_only_what_is_spent_is_known() -> None:
    sent = Sent()
    assert _day(sent, 0, hours=9) is None
    small = Plan(channel="sms", per_day=500.0)
    assert _day(Sent(), 0, hours=9, plan=small) == Ahead(planned=0.0, projected=10 * 900.0)


def test_a_day_is_one_of_the_plans_zone() -> None:
    ahead = Plan(channel="sms", per_day=100.0, zone="Asia/Shanghai")
    sent = Sent()
    evening = MIDNIGHT + 15 * HOUR  # 23:00 in Shanghai
    for minute in range(1, 61):
        told = sent.close(ahead, evening + minute * MINUTE, 10)
    assert told == Ahead(planned=0.0, projected=0.0)
    assert sent.close(ahead, evening + 61 * MINUTE, 10) is None  # a new day, and nothing is spent


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200))
def test_what_is_left_is_the_plan_less_what_went_out(accepted: Sequence[int]) -> None:
    sent = Sent()
    for number, count in enumerate(accepted, 1):
        told = sent.close(PLAN, MIDNIGHT + number * MINUTE, count)
        if told is not None:
            assert told.planned == max(0, 1_000 - sum(accepted[:number]))
            assert told.projected > 0


def test_a_week_is_remembered_and_no_more() -> None:
    sent = Sent()
    for day in range(20):
        _day(sent, day)
    assert len(sent.days) == 8
    assert len(sent.lately) == 10
