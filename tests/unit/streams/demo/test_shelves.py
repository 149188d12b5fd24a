"""The simulated shop says what is left: nothing exactly when nothing can be bought."""

from engine.times import DAY, HOUR
from streams.demo.chance import Chance
from streams.demo.goods import PRODUCTS, Stock
from streams.demo.shelves import Shelves
from streams.log.producer import Producer
from streams.settings import Deployment

_START = 1_767_225_600_000
_HOURS = [_START + number * HOUR for number in range(60 * 24)]


def _shelves() -> Shelves:
    nowhere = Deployment.from_env({"REKINDLE_KAFKA": "127.0.0.1:1"})
    return Shelves(nowhere, Stock(Chance(1)), Producer(nowhere.kafka))


def test_none_is_left_exactly_when_it_cannot_be_bought_and_some_run_out() -> None:
    stock = Stock(Chance(1))
    gone = 0
    for product in PRODUCTS:
        for at in _HOURS:
            left = stock.left(product.id, at)
            assert (left == 0) is not stock.has(product.id, at)
            gone += left == 0
    assert 0 < gone < 0.1 * len(PRODUCTS) * len(_HOURS)


def test_a_shelf_that_runs_out_empties_piece_by_piece() -> None:
    stock = Stock(Chance(1))
    fell = 0
    for product in PRODUCTS:
        before = stock.left(product.id, _START)
        for at in _HOURS[1:]:
            left = stock.left(product.id, at)
            assert before - left <= 1, "it is never gone at once"
            fell += before - left == 1
            before = left
    assert fell > 0


def test_the_whole_catalogue_is_told_first_and_then_what_changes() -> None:
    shelves = _shelves()
    first = shelves.changed(_START)
    assert [product.product_id for product in first] == [product.id for product in PRODUCTS]
    later = [shelves.changed(at) for at in _HOURS[1 : 30 * DAY // HOUR]]
    told = sum(map(len, later))
    assert 0 < told < len(later), "hours in which nothing changes tell nothing"
    assert {product.stock for hour in later for product in hour} >= {0, 1, 60}
