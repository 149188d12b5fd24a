"""Whatever was told of products, and in whatever order: the last word on each counts."""

from hypothesis import given
from hypothesis import strategies as st

from monitoring.figures.shelf import Limits, Shelf

_IDS = st.sampled_from([f"p{number}" for number in range(6)])
# What one record says: a stock or None, that it cannot be read, that the product is gone.
_WORDS = st.one_of(st.none(), st.integers(-2, 40), st.sampled_from(["cannot be read", "is gone"]))
_RECORDS = st.lists(st.tuples(_IDS, _WORDS), max_size=40)
_PACES = st.dictionaries(_IDS, st.floats(0.0, 20.0), max_size=6)
_BEST = st.lists(_IDS, unique=True, max_size=4)
_LIMITS = Limits(low_days=3.0, best_sellers=4)

Word = int | str | None


def _say(shelf: Shelf, product_id: str, word: Word) -> None:
    if word == "is gone":
        shelf.forget(product_id)
    elif word == "cannot be read":
        shelf.cannot_read(product_id)
    else:
        assert not isinstance(word, str)
        shelf.tell(product_id, word, f"The {product_id}")


def _shelf(records: list[tuple[str, Word]]) -> Shelf:
    shelf = Shelf()
    for product_id, word in records:
        _say(shelf, product_id, word)
    return shelf


@given(_RECORDS, _PACES, _BEST)
def test_the_figures_are_those_of_the_last_record_of_each_product(
    records: list[tuple[str, Word]], paces: dict[str, float], best: list[str]
) -> None:
    last = dict(records)
    compacted = [(product_id, last[product_id]) for product_id in sorted(last)]
    sellers = [(product_id, "") for product_id in best]
    assert _shelf(records).told(paces, sellers, _LIMITS) == _shelf(compacted).told(
        paces, sellers, _LIMITS
    )


@given(_RECORDS, _PACES, _BEST)
def test_every_product_is_in_one_state_and_only_known_stock_is_in_a_row(
    records: list[tuple[str, Word]], paces: dict[str, float], best: list[str]
) -> None:
    told = _shelf(records).told(paces, [(product_id, "") for product_id in best], _LIMITS)
    last = dict(records)
    there = {product_id: word for product_id, word in last.items() if word != "is gone"}
    assert sum(told.states.values()) == told.products == len(there)
    known = {product_id: word for product_id, word in there.items() if isinstance(word, int)}
    assert {row.product_id for row in told.rows} <= known.keys() & paces.keys()
    assert told.states["sold_out"] == sum(word <= 0 for word in known.values())
    assert len(told.best_sold_out) == sum(known.get(product_id, 1) <= 0 for product_id in best)
    assert all(told.best[state] <= count for state, count in told.states.items())
