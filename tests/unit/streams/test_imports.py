"""History from JSONL and CSV: known, arming nothing, and refused line by line when wrong."""

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import events as ev
from engine.changes import Memory
from engine.errors import Refused
from engine.events import Event, Line
from engine.fold import fold
from engine.profile import Profile
from engine.times import DAY, from_iso
from streams.log import codec
from streams.sources import imports

NOW = from_iso("2026-03-01T00:00:00+00:00")


def csv(folder: Path, *lines: str) -> Path:
    path = folder / "history.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def jsonl(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "history.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    return path


def read(path: Path, kind: imports.Kind | None = None) -> list[Event]:
    assert imports.check(path, NOW, kind).problems == []
    return list(imports.read(path, NOW, kind))


def sentences(path: Path, kind: imports.Kind | None = None) -> list[str]:
    found = [str(problem) for problem in imports.check(path, NOW, kind).problems]
    assert all(sentence.startswith(str(path)) and "; " in sentence for sentence in found)
    return [sentence.removeprefix(f"{path}:") for sentence in found]


# --- what is loaded -----------------------------------------------------------------------------


def test_a_customer_is_known_with_addresses_zone_and_consents(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "userId,Email,phone,timezone,locale,email_opt_in,SMS opt-in,at,loyalty",
        'u-1,li@example.com,"+86 138 0000 0000",Asia/Shanghai,zh_CN,yes,no,2026-01-31,gold',
    )
    told, *consents = read(path)
    assert isinstance(told, ev.Identified)
    assert told.addresses == {"email": "li@example.com", "sms": "+8613800000000"}
    assert (told.zones, told.locale) == (["Asia/Shanghai"], "zh-CN")
    said = [c for c in consents if isinstance(c, ev.ConsentChanged)]
    assert [(c.channel, c.granted, c.basis) for c in said] == [
        ("email", True, "import"),
        ("sms", False, "import"),
    ]
    assert imports.check(path, NOW).ignored == ("loyalty",)


def test_an_opt_out_without_a_date_holds_from_now_on_for_every_channel(tmp_path: Path) -> None:
    (event,) = read(csv(tmp_path, "user_id", "u-1"), "opt_out")
    assert isinstance(event, ev.ConsentChanged)
    assert (event.purpose, event.channel, event.granted) == ("marketing", "*", False)
    assert event.occurred_at == NOW


def test_a_consent_carries_its_proof(tmp_path: Path) -> None:
    row = {
        "user_id": "u-1",
        "granted": True,
        "channel": "email",
        "at": "2025-05-01T10:00:00+08:00",
        "source": "checkout",
        "text_version": "v3",
    }
    (event,) = read(jsonl(tmp_path, row))
    assert isinstance(event, ev.ConsentChanged)
    assert (event.granted, event.basis, event.text_version) == (True, "checkout", "v3")
    assert event.occurred_at == from_iso("2025-05-01T10:00:00+08:00")


def test_lines_of_one_order_become_one_order(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "user_id,order_id,ordered_at,product_id,quantity,price,currency,name",
        "u-1,o-1,2026-01-01,p-1,2,10.50,cny,Runner",
        "u-1,o-1,2026-01-01,p-2,1,5,CNY,Socks",
        "u-2,o-2,2026-01-02,p-3,,,,",
    )
    first, second = read(path)
    assert isinstance(first, ev.OrderCompleted)
    assert first.lines == [
        Line("p-1", 2, 10.5, "Runner", "CNY"),
        Line("p-2", 1, 5.0, "Socks", "CNY"),
    ]
    assert (first.total, first.currency) == (26.0, "CNY")
    assert isinstance(second, ev.OrderCompleted)
    assert (second.lines, second.total) == ([Line("p-3")], None)


def test_what_became_of_an_order_is_told_with_it(tmp_path: Path) -> None:
    order: dict[str, Any] = {
        "user_id": "u-1",
        "at": "2026-01-01",
        "products": [{"product_id": "p-1"}],
    }
    events = read(
        jsonl(
            tmp_path,
            order | {"order_id": "o-1", "status": "canceled"},
            order | {"order_id": "o-2", "status": "refunded"},
            order | {"order_id": "o-3", "delivered_at": "2026-01-05", "total": "99"},
        )
    )
    assert [type(event).__name__ for event in events] == [
        *("OrderCompleted", "OrderCancelled"),
        *("OrderCompleted", "OrderRefunded"),
        *("OrderCompleted", "OrderDelivered"),
    ]


def test_everything_is_history_with_rising_positions_and_stable_ids(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": "u-1", "email": "a@example.com", "push_opt_in": False, "sms_opt_in": False},
        {"user_id": "u-1", "order_id": "o-1", "at": "2026-01-01", "delivered_at": "2026-01-03"},
        {"user_id": "u-1", "type": "opt-out", "channel": "sms"},
    ]
    plain = jsonl(tmp_path, *rows)
    packed = tmp_path / "again.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    events = read(plain)
    assert read(packed) == events
    assert len(events) == 6
    assert all(event.history and event.received_at == NOW for event in events)
    positions = [(e.source.offset, e.source.ordinal) for e in events if e.source]
    assert positions == sorted(set(positions))
    assert [offset for offset, _ in positions] == [1, 1, 1, 2, 2, 3]
    assert all(e.source and e.source.source.startswith("import:") for e in events)
    assert len({event.event_id for event in events}) == 6
    assert [codec.read(codec.write(event)) for event in events] == events


def test_an_opt_out_outweighs_an_earlier_consent_in_whatever_order_they_are_loaded(
    tmp_path: Path,
) -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": "u-1", "type": "opt_out", "channel": "email", "at": "2026-02-01"},
        {"user_id": "u-1", "granted": True, "channel": "email", "at": "2026-01-01"},
    ]
    profile = Profile()
    for event in read(jsonl(tmp_path, *rows)):
        fold(profile, None, event, Memory())
    consent = profile.consent("marketing", "email")
    assert consent is not None
    assert not consent.granted


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"email": "a@example.com"}, "1: no user_id"),
        ({"user_id": "null", "email": "a@example.com"}, "1: user_id 'null' names nobody"),
        ({"user_id": "anon:x", "email": "a@example.com"}, "1: user_id 'anon:x' names nobody"),
        ({"user_id": "u"}, "1: it does not say what it is"),
        ({"user_id": "u", "type": "person"}, "1: type 'person' is unknown"),
        ({"user_id": "u", "email": "nobody"}, "1: email 'nobody' cannot be one"),
        ({"user_id": "u", "phone": "none"}, "1: phone 'none' cannot be one"),
        ({"user_id": "u", "timezone": "Mars"}, "1: timezone 'Mars' is unknown"),
        ({"user_id": "u", "country": "Atlantis"}, "1: country 'Atlantis' is unknown"),
        ({"user_id": "u", "locale": "?"}, "1: locale '?' cannot be read"),
        ({"user_id": "u", "sms_opt_in": "maybe"}, "1: sms_opt_in 'maybe' is neither"),
        ({"user_id": "u", "sms_opt_in": True}, "1: sms_opt_in is true but at is empty"),
        ({"user_id": "u", "granted": True}, "1: a consent without at"),
        ({"user_id": "u", "granted": "?", "at": "2026-01-01"}, "1: granted '?' is neither"),
        ({"user_id": "u", "type": "consent"}, "1: granted is empty"),
        ({"user_id": "u", "granted": False, "channel": "?"}, "1: channel '?' is no name"),
        ({"user_id": "u", "granted": False, "purpose": "?"}, "1: purpose '?' is no word"),
        ({"user_id": "u", "order_id": "o"}, "1: an order without at"),
        ({"user_id": "u", "type": "order", "at": "2026-01-01"}, "1: no order_id"),
        ({"user_id": "u", "order_id": "o", "at": "soon"}, "1: at 'soon' is no time"),
        ({"user_id": "u", "order_id": "o", "at": "2030-01-01"}, "1: at '2030-01-01' lies in"),
        (
            {"user_id": "u", "order_id": "o", "at": "2026-01-01", "total": "-5"},
            "1: total '-5' is no amount",
        ),
        (
            {"user_id": "u", "order_id": "o", "at": "2026-01-01", "status": "eaten"},
            "1: status 'eaten' is unknown",
        ),
        (
            {"user_id": "u", "order_id": "o", "at": "2026-01-01", "products": "p-1"},
            "1: products is no list",
        ),
        (
            {"user_id": "u", "order_id": "o", "at": "2026-01-01", "products": [{}]},
            "1: a product without product_id",
        ),
        (
            {"user_id": "u", "order_id": "o", "at": "2026-01-01", "product_id": "p", "quantity": 0},
            "1: quantity '0' is none",
        ),
        (
            {"user_id": "u", "order_id": "o", "at": "2026-01-01", "currency": "yuan"},
            "1: currency 'YUAN' is none",
        ),
    ],
)
def test_a_wrong_line_is_refused_with_its_place_and_how_to_mend_it(
    tmp_path: Path, row: dict[str, Any], what: str
) -> None:
    path = jsonl(tmp_path, row)
    (sentence,) = sentences(path)
    assert sentence.startswith(what)
    assert list(imports.read(path, NOW)) == []


def test_all_problems_are_told_and_the_good_lines_between_them_can_still_be_loaded(
    tmp_path: Path,
) -> None:
    path = csv(
        tmp_path,
        "user_id,order_id,at,product_id,granted",
        "u-1,o-1,2026-01-01,p-1,",
        "u-1,o-1,2026-01-01,p-2",
        "null,o-2,2026-01-01,p-1,",
        "u-1,o-1,2026-01-01,p-3,",
        "u-2,,,,perhaps",
        "u-3,,,,no",
        "u-1,o-1,2026-01-01,p-4,",
    )
    assert [sentence.split(":")[0] for sentence in sentences(path)] == ["3", "4", "6", "8"]
    order, consent = imports.read(path, NOW)
    assert isinstance(order, ev.OrderCompleted)
    assert [line.product_id for line in order.lines] == ["p-1", "p-3"]
    assert isinstance(consent, ev.ConsentChanged)
    checked = imports.check(path, NOW)
    assert (checked.bad, checked.events) == (4, {"OrderCompleted": 1, "ConsentChanged": 1})


def test_lines_that_are_no_json_are_told_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"user_id":"u","email":"a@example.com"}\n{\n[]\n\n17\n')
    assert [sentence.split(":")[0] for sentence in sentences(path)] == ["2", "3", "5"]


def test_of_very_many_problems_a_thousand_are_told_and_all_are_counted(tmp_path: Path) -> None:
    checked = imports.check(csv(tmp_path, "user_id,email", *["u-1,x"] * 1500), NOW)
    assert (len(checked.problems), checked.bad) == (1000, 1500)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("x.xlsx", b"", "neither"),
        ("x.csv", b"name,email\nLi,a@example.com\n", "no column user_id"),
        ("x.csv", b"", "no column user_id"),
        ("x.csv", b"user_id,email\nu-1,\xff\xfe@example.com\n", "not UTF-8"),
        ("x.csv.gz", b"user_id\n", "cannot be read"),
    ],
)
def test_a_file_of_another_form_is_refused_as_a_whole(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Refused, match=what):
        imports.check(path, NOW)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(sorted(imports.COLUMNS)), VALUES, max_size=8), max_size=5
)


@given(ROWS)
def test_any_line_is_loaded_or_told(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> None:
    path = tmp_path_factory.mktemp("any") / "x.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    checked = imports.check(path, NOW)
    events = list(imports.read(path, NOW))
    assert checked.events.total() == len(events)
    assert all(event.history and event.occurred_at <= NOW + DAY for event in events)
