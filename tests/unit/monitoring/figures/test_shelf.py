"""What is sold out and what soon will be: by the last word on each product, never by a guess."""

import pytest

from engine.times import DAY, MINUTE
from monitoring.figures import page
from monitoring.figures.pace import Pace
from monitoring.figures.shelf import Limits, Shelf
from monitoring.figures.shop import Figures

_DAY = 1_767_225_600_000  # 2026-01-01 00:00 UTC
_LIMITS = Limits(low_days=3.0, best_sellers=2)


def _shelf(**stock: int | None) -> Shelf:
    shelf = Shelf()
    for product_id, pieces in stock.items():
        shelf.tell(product_id, pieces, f"The {product_id}")
    return shelf


def test_a_product_is_low_when_it_lasts_less_than_the_limit_at_its_pace() -> None:
    shelf = _shelf(a=29, b=30, c=1)
    told = shelf.told({"a": 10.0, "b": 10.0}, [], _LIMITS)
    assert [row.product_id for row in told.rows] == ["a"]
    assert (told.rows[0].days, told.rows[0].stock, told.rows[0].per_day) == (2.9, 29, 10.0)
    assert told.states == {
        "low": 1,
        "in_stock": 2,
        "sold_out": 0,
        "unknown": 0,
        "unreadable": 0,
    }, "c has one piece and nobody wants it: it lasts for ever"


def test_unknown_stock_is_neither_nought_nor_low() -> None:
    shelf = _shelf(a=None)
    shelf.cannot_read("b")
    told = shelf.told({"a": 5.0, "b": 5.0, "never-told": 5.0}, [("a", ""), ("b", "")], _LIMITS)
    assert told.rows == []
    assert told.best_sold_out == []
    assert (told.states["unknown"], told.states["unreadable"], told.states["sold_out"]) == (1, 1, 0)
    assert shelf.stock_of("a") is None


def test_what_is_sold_out_and_sells_stands_first_by_its_pace() -> None:
    shelf = _shelf(slow=0, fast=-3, low=5)
    told = shelf.told({"slow": 1.0, "fast": 9.0, "low": 5.0}, [], _LIMITS)
    assert [(row.product_id, row.stock) for row in told.rows] == [
        ("fast", 0),
        ("slow", 0),
        ("low", 5),
    ]


def test_best_sellers_are_told_by_the_name_they_were_sold_by() -> None:
    shelf = _shelf(a=0, b=0, c=4)
    told = shelf.told({}, [("a", "As ordered"), ("b", ""), ("c", "")], _LIMITS)
    assert told.best_sold_out == ["As ordered", "The b"]
    assert (told.best["sold_out"], told.best["in_stock"]) == (2, 1)


def test_the_last_record_counts_and_one_that_cannot_be_read_takes_back_what_stood_before() -> None:
    shelf = _shelf(a=0)
    shelf.cannot_read("a")
    assert shelf.told({}, [("a", "")], _LIMITS).best_sold_out == []
    shelf.tell("a", 0, "")
    assert shelf.told({}, [("a", "")], _LIMITS).best_sold_out == ["a"]
    shelf.forget("a")
    assert (len(shelf), shelf.told({}, [("a", "")], _LIMITS).best_sold_out) == (0, [])


def test_beyond_its_bound_new_products_are_left_out_and_counted() -> None:
    shelf = Shelf(most=2)
    for product_id in ("a", "b", "c", "c"):
        shelf.tell(product_id, 1, "")
    shelf.tell("a", 0, "")
    told = shelf.told({}, [], _LIMITS)
    assert (told.products, told.left_out, told.states["sold_out"]) == (2, 1, 1)


# --- the pace ------------------------------------------------------------------------------------


def _pace(begin: int, *orders: tuple[int, str, int]) -> Pace:
    pace = Pace()
    pace.close(begin + MINUTE)
    for at, product_id, quantity in orders:
        pace.add(at, product_id, quantity)
        pace.close(at + MINUTE)
    return pace


def test_the_pace_is_of_the_days_that_were_watched_and_of_at_least_one() -> None:
    pace = _pace(_DAY, (_DAY + MINUTE, "a", 12))
    assert pace.per_day(_DAY + 2 * MINUTE) == {"a": 12.0}
    assert pace.per_day(_DAY + 4 * DAY) == {"a": 3.0}


def test_what_was_sold_more_than_a_week_ago_is_forgotten() -> None:
    orders = [(_DAY + day * DAY, "a", 8) for day in range(30)]
    pace = _pace(_DAY, *orders, (_DAY + 29 * DAY + 1, "b", 8))
    assert len(pace.days) == 8
    until = _DAY + 30 * DAY - MINUTE
    assert pace.per_day(until) == {
        "a": pytest.approx(8.0, rel=0.001),
        "b": pytest.approx(1.0, 0.001),
    }
    assert pace.per_day(_DAY + 40 * DAY)["b"] < 8.0


def test_a_day_that_sells_too_many_different_products_keeps_the_fastest() -> None:
    pace = Pace(most=4)
    for number in range(5):
        pace.add(_DAY, f"p{number}", number + 1)
    assert pace.days[_DAY // DAY] == {"p4": 5, "p3": 4}


# --- together ------------------------------------------------------------------------------------


def test_the_figures_of_a_shop_know_the_pace_and_the_page_what_is_left() -> None:
    figures = Figures()
    figures.close(_DAY + MINUTE, [], {})
    figures.pace.add(_DAY + MINUTE, "a", 4)
    figures.close(_DAY + 2 * MINUTE, [], {})
    restored = Figures.restored(figures.state())
    assert page.stock(restored, _shelf(a=8), _LIMITS).rows[0].days == 2.0
    assert page.stock(restored, _shelf(a=12), _LIMITS).rows == []
