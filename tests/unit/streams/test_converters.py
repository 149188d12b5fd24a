"""Converters on the real public data, and on small files made to be awkward.

The data is not shipped: REKINDLE_TEST_DATA says where it lies.
"""

import gzip
import os
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from engine import events as ev
from engine.errors import Refused
from engine.events import Event, Record, Tick
from engine.times import DAY, HOUR, MINUTE
from streams import sources
from streams.log import codec
from streams.sources import shoppers, ticks
from streams.sources.reasons import Notes

HERE = Path(__file__).parents[3]
DATA = Path(os.environ.get("REKINDLE_TEST_DATA", HERE.parent / "shared" / "data"))
RETAILROCKET = "retailrocket_events_5000_visitors.csv.gz"
REES46 = "rees46_multicategory_2019-10-01_first170min.csv.gz"
ONLINERETAIL = "uci_online_retail.csv.gz"
# The first weeks of December 2010: as many rows as a test has time for.
DECEMBER = sources.Slice(rows=20_000)


def data(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"no {name}: set REKINDLE_TEST_DATA to the folder of public data")
    return DATA / name


def read(
    form: str, path: Path, part: sources.Slice = sources.WHOLE, notes: Notes | None = None
) -> list[Event]:
    records = sources.reader(form)(path, part, Notes() if notes is None else notes)
    return [record for record in records if not isinstance(record, Tick | ev.SettingsRecord)]


def kinds(events: list[Event]) -> Counter[str]:
    return Counter(type(event).__name__ for event in events)


def position(event: Event) -> tuple[int, int]:
    assert event.source is not None
    return event.source.offset, event.source.ordinal


@pytest.fixture(scope="module")
def rocket() -> list[Event]:
    return read("retailrocket", data(RETAILROCKET))


@pytest.fixture(scope="module")
def rees() -> list[Event]:
    return read("rees46", data(REES46))


@pytest.fixture(scope="module")
def retail() -> list[Event]:
    return read("onlineretail", data(ONLINERETAIL), DECEMBER)


@pytest.fixture(params=["rocket", "rees", "retail"])
def real(request: pytest.FixtureRequest) -> list[Event]:
    events: list[Event] = request.getfixturevalue(request.param)
    return events


# --- real data ----------------------------------------------------------------------------------


def test_retailrocket_holds_9385_events_in_46_lines_of_40_orders(rocket: list[Event]) -> None:
    found = kinds(rocket)
    assert found == {
        "Identified": 5000,
        "ConsentChanged": 5000,
        "ProductViewed": 9076,
        "ProductAdded": 263,
        "OrderCompleted": 40,
    }
    orders = [event for event in rocket if isinstance(event, ev.OrderCompleted)]
    assert 9076 + 263 + sum(len(order.lines) for order in orders) == 9385
    assert Counter(len(order.lines) for order in orders) == {1: 36, 2: 2, 3: 2}
    assert all(order.total and order.total > 0 for order in orders)


def test_rees46_holds_17434_events_and_one_torn_row() -> None:
    notes = Notes()
    found = kinds(read("rees46", data(REES46), notes=notes))
    assert found["ProductViewed"] + found["ProductAdded"] + found["OrderCompleted"] == 17_434
    assert found["ProductAdded"] == 165
    assert found["OrderCompleted"] == 214
    assert found["Identified"] == found["ConsentChanged"] == 4504
    assert notes == {"skipped_row": 1}


def test_rees46_keeps_the_prices_of_its_shop(rees: list[Event]) -> None:
    added = [event.line for event in rees if isinstance(event, ev.ProductAdded)]
    assert all(line.price and not line.currency for line in added)
    assert any(line.name == "apple smartphone" for line in added)


def test_online_retail_groups_invoices_and_explains_what_comes_back(retail: list[Event]) -> None:
    found = kinds(retail)
    orders = {e.order_id: e for e in retail if isinstance(e, ev.OrderCompleted)}
    assert len(orders) == found["OrderCompleted"] > 800
    assert found["OrderRefunded"] > 20
    assert found["OrderCancelled"] > 0
    first = orders["536365"]
    assert first.user_id == "17850"
    assert (len(first.lines), first.total, first.currency) == (7, 139.12, "GBP")
    assert first.occurred_at == 1_291_191_960_000  # 2010-12-01 08:26
    for event in retail:
        if isinstance(event, ev.OrderRefunded | ev.OrderCancelled):
            order = orders[event.order_id]
            assert order.user_id == event.user_id
            assert position(order) < position(event)


def test_nothing_comes_back_that_was_not_bought(retail: list[Event]) -> None:
    bought: Counter[tuple[str, str]] = Counter()
    for event in retail:
        if isinstance(event, ev.OrderCompleted):
            bought.update({(event.order_id, x.product_id): x.quantity for x in event.lines})
        elif isinstance(event, ev.OrderRefunded):
            assert event.lines
            for line in event.lines:
                bought[event.order_id, line.product_id] -= line.quantity
    cut = {e.order_id for e in retail if isinstance(e, ev.OrderCompleted) and len(e.lines) == 64}
    assert [key for key, left in bought.items() if left < 0 and key[0] not in cut] == []


def test_events_come_in_time_order_with_rising_positions_and_ids_of_their_own(
    real: list[Event],
) -> None:
    assert [e.received_at for e in real] == sorted(e.received_at for e in real)
    assert all(e.received_at == e.occurred_at for e in real)
    positions = [position(event) for event in real]
    assert positions == sorted(set(positions))
    assert len({event.event_id for event in real}) == len(real)
    assert len({event.source.source for event in real if event.source}) == 1


def test_everybody_is_introduced_before_anything_else_is_told(real: list[Event]) -> None:
    told: dict[str, list[Event]] = defaultdict(list)
    for event in real:
        told[event.user_id].append(event)
    for events in told.values():
        assert isinstance(events[0], ev.Identified)
        assert isinstance(events[1], ev.ConsentChanged)
        assert not any(isinstance(e, ev.Identified | ev.ConsentChanged) for e in events[2:])


def test_what_is_added_has_the_stated_shares(real: list[Event]) -> None:
    people = [event for event in real if isinstance(event, ev.Identified)]
    consents = [event for event in real if isinstance(event, ev.ConsentChanged)]
    tolerance = 2.5 / len(people) ** 0.5  # five standard deviations at most
    for channel, share in shoppers.REACHABLE.items():
        reached = sum(channel in person.addresses for person in people)
        assert abs(reached / len(people) - share) < tolerance
    granted = sum(consent.granted for consent in consents)
    assert abs(granted / len(people) - shoppers.CONSENTING) < tolerance
    zones = Counter(person.zones[0] for person in people if person.zones)
    assert len(zones) == 3
    assert all(abs(count / len(people) - 1 / 3) < tolerance for count in zones.values())


def test_the_addresses_are_well_formed_and_nobodys(real: list[Event]) -> None:
    people = [event for event in real if isinstance(event, ev.Identified)]
    mails = [p.addresses["email"] for p in people if "email" in p.addresses]
    phones = [p.addresses["sms"] for p in people if "sms" in p.addresses]
    assert all(mail.endswith("@example.com") for mail in mails)
    assert all(phone.startswith("+8610") and len(phone) == 14 for phone in phones)
    assert len(set(mails)) == len(mails)


def test_every_event_survives_the_log(real: list[Event]) -> None:
    assert all(codec.read(codec.write(event)) == event for event in real[:2000])


def test_reading_again_gives_the_same_and_packing_changes_nothing(tmp_path: Path) -> None:
    packed = data(RETAILROCKET)
    plain = tmp_path / "events.csv"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    assert read("retailrocket", plain) == read("retailrocket", packed)


def test_a_slice_is_the_beginning_of_the_whole(rocket: list[Event]) -> None:
    by_rows = read("retailrocket", data(RETAILROCKET), sources.Slice(rows=100))
    assert by_rows == rocket[: len(by_rows)]
    assert sum(not isinstance(e, ev.Identified | ev.ConsentChanged) for e in by_rows) == 100
    noon = rocket[0].received_at + DAY // 2
    by_time = read("retailrocket", data(RETAILROCKET), sources.Slice(until=noon))
    assert by_time == [event for event in rocket if event.received_at < noon]


# --- awkward files ------------------------------------------------------------------------------

ROCKET_HEAD = "timestamp,visitorid,event,itemid,transactionid\n"
RETAIL_HEAD = "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_out_of_order_is_sorted_and_its_positions_rise(tmp_path: Path) -> None:
    at = 1_430_622_120_000
    rows = [f"{at + 5000},1,view,7,", f"{at},2,view,8,", f"{at + 1000},1,transaction,7,t-1"]
    path = written(tmp_path, "x.csv", ROCKET_HEAD + "\n".join(rows) + "\n")
    events = [e for e in read("retailrocket", path) if not isinstance(e, ev.ConsentChanged)]
    told = [(type(e).__name__, e.user_id) for e in events if not isinstance(e, ev.Identified)]
    assert told == [("ProductViewed", "2"), ("OrderCompleted", "1"), ("ProductViewed", "1")]
    assert [position(e) for e in events] == sorted(position(e) for e in events)


def test_an_order_is_told_with_its_last_line_even_if_another_stands_between(
    tmp_path: Path,
) -> None:
    at = 1_430_622_120_000
    rows = [
        f"{at},1,transaction,7,t-1",
        f"{at + 1},2,transaction,9,t-2",
        f"{at + 2},1,transaction,8,t-1",
    ]
    path = written(tmp_path, "x.csv", ROCKET_HEAD + "\n".join(rows))
    orders = [e for e in read("retailrocket", path) if isinstance(e, ev.OrderCompleted)]
    assert [(o.order_id, [x.product_id for x in o.lines]) for o in orders] == [
        ("t-2", ["9"]),
        ("t-1", ["7", "8"]),
    ]
    assert orders[1].occurred_at == at + 2


def test_returns_go_to_the_newest_order_that_explains_them(tmp_path: Path) -> None:
    rows = [
        "1,A,5,2011-01-01 10:00,2.0,7,UK",
        "1,B,1,2011-01-01 10:00,9.0,7,UK",
        "2,A,3,2011-01-02 10:00,2.0,7,UK",
        "3,A,9,2011-01-02 11:00,2.0,8,UK",
        "C4,A,-4,2011-01-03 10:00,2.0,7,UK",  # 3 of order 2, 1 of order 1
        "C5,Z,-1,2011-01-03 11:00,2.0,7,UK",  # bought before the data begins
        "C6,A,-9,2011-01-03 12:00,2.0,8,UK",  # all of order 3 at once
        "C7,POST,-1,2011-01-03 13:00,2.0,7,UK",  # no product
        ",,1,2011-01-03 13:00,2.0,,UK",  # nobody
    ]
    notes = Notes()
    path = written(tmp_path, "x.csv", RETAIL_HEAD + "\n".join(rows))
    events = read("onlineretail", path, notes=notes)
    told = [
        (e.order_id, [(x.product_id, x.quantity) for x in e.lines])
        for e in events
        if isinstance(e, ev.OrderRefunded)
    ]
    cancelled = [e.order_id for e in events if isinstance(e, ev.OrderCancelled)]
    assert told == [("1", [("A", 1)])]
    assert cancelled == ["2", "3"]
    assert notes == {"skipped_return": 1, "skipped_row": 1}


def test_a_file_of_another_layout_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = written(tmp_path, "x.csv", "a,b\n1,2\n")
    with pytest.raises(Refused, match=r"no column timestamp.*--format"):
        read("retailrocket", path)


def test_a_time_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "x.csv", ROCKET_HEAD + "soon,1,view,7,\n")
    with pytest.raises(Refused, match=r"x\.csv:2: "):
        read("retailrocket", path)


@pytest.mark.parametrize(
    "content",
    [b"not gzip at all", gzip.compress(b"x" * 10_000)[:-20]],
    ids=["no archive", "cut short"],
)
def test_a_broken_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(content)
    with pytest.raises(Refused, match="cannot be read"):
        read("retailrocket", path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        read("retailrocket", tmp_path / "none.csv")


# --- JSONL --------------------------------------------------------------------------------------


def test_a_file_of_segment_messages_is_its_own_clock(tmp_path: Path) -> None:
    lines = [
        {"type": "track", "event": "b", "userId": "u-1", "timestamp": "2026-01-01T00:00:02Z"},
        {"type": "track", "event": "a", "userId": "u-1", "timestamp": "2026-01-01T00:00:01Z"},
        {"type": "track", "event": "lost", "userId": "u-1"},
        {"type": "nonsense", "userId": "u-1"},
    ]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n\n".join(orjson.dumps(line) for line in lines) + b"\n{\n")
    notes = Notes()
    events = read("segment", path, notes=notes)
    assert [event.name for event in events if isinstance(event, ev.Active)] == ["a", "b"]
    assert all(event.received_at == event.occurred_at for event in events)
    assert [position(event) for event in events] == sorted(position(event) for event in events)
    assert (notes["skipped_row"], notes["unknown_type"], notes["not_json"]) == (1, 1, 1)


def test_a_recorded_log_comes_back_as_it_was(tmp_path: Path) -> None:
    records: list[Record] = [
        ev.SettingsRecord(campaigns="ab" * 32),
        ev.Active(event_id="e", user_id="u", occurred_at=5, received_at=5),
        Tick(now=6, origin="loader"),
    ]
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(codec.write(record) for record in records)))
    assert list(sources.reader("events")(path)) == records
    assert list(sources.reader("events")(path, sources.Slice(since=6))) == [records[0], records[2]]


def test_a_foreign_line_in_a_recorded_log_is_refused_with_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, "x.jsonl", '{"type":"tick","now":1}\n{"type":"track"}\n')
    with pytest.raises(Refused, match=r"x\.jsonl:2: "):
        list(sources.reader("events")(path))


def test_formats_and_dialects_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(Refused, match="retailrocket"):
        sources.reader("ga4")
    with pytest.raises(Refused, match="segment"):
        sources.parser("ga4")


# --- ticks --------------------------------------------------------------------------------------


def test_a_short_source_ticks_every_five_minutes_and_then_hourly_for_31_days() -> None:
    first, last = 10 * DAY + 1, 10 * DAY + 12 * MINUTE
    times = list(ticks.tick_times(first, last))
    assert [at - 10 * DAY for at in times[:4]] == [5 * MINUTE, 10 * MINUTE, 15 * MINUTE, HOUR]
    assert {later - earlier for earlier, later in pairwise(times[3:])} == {HOUR}
    assert last + 31 * DAY <= times[-1] < last + 31 * DAY + HOUR


def test_a_source_of_more_than_a_week_ticks_every_hour() -> None:
    times = list(ticks.tick_times(0, 8 * DAY))
    assert times[:3] == [0, HOUR, 2 * HOUR]
    assert {later - earlier for earlier, later in pairwise(times)} == {HOUR}


def test_an_event_at_the_very_time_of_a_tick_stands_before_it() -> None:
    events: list[Event] = [
        ev.Active(event_id=str(at), user_id="u", occurred_at=at, received_at=at)
        for at in (4 * MINUTE, 5 * MINUTE, 5 * MINUTE + 1)
    ]
    merged = list(ticks.merge(events, [5 * MINUTE, 10 * MINUTE]))
    order = [r.now if isinstance(r, Tick) else getattr(r, "event_id", "") for r in merged]
    assert order == ["240000", "300000", 5 * MINUTE, "300001", 10 * MINUTE]


def test_a_source_carries_its_ticks_and_an_empty_one_none() -> None:
    events = read("retailrocket", data(RETAILROCKET), sources.Slice(rows=50))
    records = list(ticks.with_ticks(lambda: events))
    assert [record for record in records if not isinstance(record, Tick)] == events
    now = 0
    for record in records:
        if isinstance(record, Tick):
            assert record.now > now
            assert record.limit == 0
            now = record.now
        elif not isinstance(record, ev.SettingsRecord):
            assert record.received_at > now
    assert now >= events[-1].received_at + 31 * DAY
    assert list(ticks.with_ticks(list)) == []
