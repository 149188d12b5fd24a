"""What is a product, what is none, what a worker keeps of it, and what the HTTP port says."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from engine.errors import InvalidEvent, Unavailable
from streams.live.token import Gate
from streams.products import door, following, record
from streams.products.door import ProductRoutes
from streams.products.record import Product
from streams.products.sold_out import SoldOut
from streams.settings import Deployment

_PUBLISHED = Path("docs/reference/products.schema.json")
_WHOLE: dict[str, Any] = {
    "v": 1,
    "product_id": "p-7",
    "stock": 12,
    "price": 299.0,
    "currency": "CNY",
    "category": "care",
    "name": "山茶花护手霜礼盒",
    "url": "https://shop.example/p-7",
    "image": "https://shop.example/p-7.jpg",
}
# What is no product, and a word that the complaint holds.
_WRONG: dict[str, tuple[object, str]] = {
    "no object": ([], "object"),
    "no id": ({"stock": 1}, "product_id"),
    "an empty id": ({"product_id": ""}, "product_id"),
    "an id that is a number": ({"product_id": 7}, "str"),
    "an id with spaces around it": ({"product_id": " p"}, "spaces"),
    "an overlong id": ({"product_id": "p" * 201}, "product_id"),
    "half a piece": ({"product_id": "p", "stock": 1.5}, "stock"),
    "stock as text": ({"product_id": "p", "stock": "12"}, "stock"),
    "a stock beyond all bounds": ({"product_id": "p", "stock": 10**12}, "stock"),
    "a price below nought": ({"product_id": "p", "price": -1}, "price"),
    "no currency": ({"product_id": "p", "currency": "euro"}, "currency"),
    "an address that is none": ({"product_id": "p", "url": "javascript:1"}, "url"),
}


def _schema() -> jsonschema.Draft202012Validator:
    schema = json.loads(_PUBLISHED.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_whole_product_is_read_as_it_was_written_and_fits_its_schema() -> None:
    product = record.read("p-7", json.dumps(_WHOLE).encode())
    written = json.loads(record.encode(product))
    assert written == _WHOLE
    assert record.converted(_WHOLE) == product
    _schema().validate(written)


def test_what_is_left_out_is_not_known_and_what_is_new_is_ignored() -> None:
    product = record.read("p", b'{"product_id": "p", "colour": "red"}')
    assert (product.stock, product.price, product.name) == (None, None, None)
    assert not product.sold_out
    _schema().validate(json.loads(record.encode(product)))


@pytest.mark.parametrize(("stock", "gone"), [(1, False), (0, True), (-3, True), (None, False)])
def test_sold_out_is_what_is_known_to_be(stock: int | None, *, gone: bool) -> None:
    assert Product(product_id="p", stock=stock).sold_out is gone


@pytest.mark.parametrize("wrong", _WRONG)
def test_what_is_no_product_is_told_why_by_both_ways_in_and_by_the_schema(wrong: str) -> None:
    told, word = _WRONG[wrong]
    with pytest.raises(InvalidEvent, match=word):
        record.decode(json.dumps(told).encode())
    with pytest.raises(InvalidEvent, match=word):
        record.converted(told)
    # That an id is without spaces around it is beyond what the schema says.
    assert _schema().is_valid(told) == (wrong == "an id with spaces around it")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("p", b"{", "bad_product"),
        ("p", b'{"product_id": "\xff"}', "bad_product"),
        ("p", b'{"product_id": "other"}', "bad_product"),
        ("p", b'{"product_id": "p", "v": 2}', "newer_version"),
        ("p", b'{"product_id": "p", "x": "' + b"x" * record.MAX_BYTES + b'"}', "oversize"),
    ],
)
def test_a_record_that_cannot_be_read_has_its_reason(key: str, value: bytes, reason: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        record.read(key, value)
    assert refused.value.reason == reason


@pytest.mark.parametrize("key", [None, b"", b"\xff"])
def test_a_record_without_a_key_is_about_no_product(key: bytes | None) -> None:
    with pytest.raises(InvalidEvent):
        record.key_of(key)


# --- what a worker keeps -------------------------------------------------------------------------


def _kept() -> SoldOut:
    """Return what a worker keeps once it has read the topic to its end."""
    kept = SoldOut(Deployment.from_env({}))
    kept._following._stand("read")
    return kept


async def test_a_worker_knows_what_is_sold_out_by_the_last_word_on_each_product() -> None:
    kept = _kept()
    for product_id in ("a", "b", "c", "d"):
        kept.tell(Product(product_id=product_id, stock=0))
    assert await kept.all_of(["a", "b", "c", "d"])
    kept.tell(Product(product_id="a", stock=1))
    kept.tell(Product(product_id="b"))
    kept.cannot_read("c")
    kept.forget("d")
    assert [await kept.all_of([product_id]) for product_id in "abcd"] == [False] * 4
    kept.tell(Product(product_id="a", stock=0))
    assert not await kept.all_of(["a", "b"])
    assert await kept.all_of(["a"])
    kept.forget_all()
    assert not await kept.all_of(["a"])


async def test_what_speaks_of_nothing_is_not_sold_out() -> None:
    assert not await _kept().all_of([])


async def test_before_the_topic_was_read_nothing_is_said_and_where_there_is_none_all_is_sold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "PATIENCE", 0.01)
    kept = SoldOut(Deployment.from_env({}))
    with pytest.raises(Unavailable, match="has not been read yet"):
        await kept.all_of(["a"])
    kept._following._stand("missing")
    assert not await kept.all_of(["a"])
    kept._following._stand("reading")  # somebody has created it
    with pytest.raises(Unavailable):
        await kept.all_of(["a"])


# --- the door ------------------------------------------------------------------------------------


class _Posted(ProductRoutes):
    """The door, with what it would publish kept; the log is tested on a real broker."""

    def __init__(self, token: str | None) -> None:
        self.told: list[tuple[str, bytes | None]] = []
        self._gate = Gate(token, lambda: 0)

    async def _publish(self, told: Sequence[tuple[str, bytes | None]]) -> None:
        self.told += told


async def _ask(
    posted: _Posted, method: str, path: str, body: object = None, token: str = "right"
) -> tuple[int, dict[str, Any]]:
    app = web.Application()
    app.add_routes(posted.routes())
    async with TestClient(TestServer(app)) as client:
        headers = {"Authorization": f"Bearer {token}"}
        async with client.request(method, path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()


async def test_one_product_and_several_are_taken_with_the_token() -> None:
    posted = _Posted("right")
    assert await _ask(posted, "POST", door.PATH, _WHOLE) == (200, {"success": True, "products": 1})
    several = {"products": [_WHOLE, {"product_id": "p", "stock": 0}]}
    assert (await _ask(posted, "POST", door.PATH, several))[1]["products"] == 2
    assert [product_id for product_id, _ in posted.told] == ["p-7", "p-7", "p"]
    assert json.loads(posted.told[0][1] or b"") == _WHOLE


async def test_a_product_that_is_gone_leaves_a_tombstone_whatever_its_id_looks_like() -> None:
    posted = _Posted("right")
    assert (await _ask(posted, "DELETE", f"{door.PATH}/a%2Fb"))[0] == 200
    assert posted.told == [("a/b", None)]


@pytest.mark.parametrize(
    ("token", "given", "status"), [(None, "right", 403), ("right", "wrong", 401)]
)
async def test_nobody_without_the_token_says_what_is_sold_out(
    token: str | None, given: str, status: int
) -> None:
    posted = _Posted(token)
    assert (await _ask(posted, "POST", door.PATH, _WHOLE, given))[0] == status
    assert (await _ask(posted, "DELETE", f"{door.PATH}/p", None, given))[0] == status
    assert posted.told == []


@pytest.mark.parametrize(
    "body",
    [[], {}, {"products": []}, {"products": {}}, {"products": [_WHOLE, {"product_id": 1}]}],
    ids=str,
)
async def test_one_wrong_product_stores_none_and_says_which(body: object) -> None:
    posted = _Posted("right")
    status, told = await _ask(posted, "POST", door.PATH, body)
    assert (status, posted.told) == (400, [])
    if isinstance(body, dict) and body.get("products"):
        assert "products[1]" in told["message"] or isinstance(body["products"], dict)
