"""What the live page shows of a demo while it runs, held against the topics it left."""

import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Queue
from time import sleep
from typing import Any, Final

import orjson
import pytest

from engine.times import DAY, HOUR, from_iso
from streams.demo.run import START, run
from streams.sources.ticks import COARSE

pytestmark = pytest.mark.slow

# On a busy machine the observer begins late and lags: there must be figures left to look at.
DAYS: Final = 5
SHOPPERS: Final = 1_500
_SECONDS: Final = 180


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watched") / "demo-run"


@pytest.fixture(scope="module")
def page(folder: Path) -> dict[str, Any]:
    """The last page with the observer's figures that was to be had while the demo ran."""
    said: Queue[str] = Queue()
    pages: list[dict[str, Any]] = []
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(
            run, days=DAYS, shoppers=SHOPPERS, seed=3, keep=str(folder), out=said.put
        )
        address = _address(said)
        while not playing.done():
            with suppress(OSError):
                found = _fetched(address)
                if found["observed"]:
                    pages = [found]
            sleep(0.2)  # another look: the page itself is new once a second
        playing.result()
    return pages[0]


def _address(said: "Queue[str]") -> str:
    while True:
        found = re.search(r"http://\S+/live", said.get(timeout=_SECONDS))
        if found:
            return f"{found.group()}/snapshot.json"


def _fetched(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(address, timeout=5) as answer:
        told: dict[str, Any] = orjson.loads(answer.read())
        return told


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        yield from map(orjson.loads, lines)


def _events(folder: Path, since: int, until: int) -> list[dict[str, Any]]:
    """Return what apps told between two times of the data."""
    told = [line["value"] for file in (folder / "events").iterdir() for line in _lines(file)]
    return [one for one in told if since <= one.get("received_at", 0) < until]


def _between(at: str, since: int, until: int) -> bool:
    return since <= from_iso(at) < until


def test_an_observer_and_an_audit_run_beside_the_demo(page: dict[str, Any]) -> None:
    states = {name: page[name]["state"] for name in ("channels", "funnel", "costs", "anomalies")}
    assert set(states.values()) == {"live"}
    assert page["channels"]["observer"]["state"] == "live"
    assert page["audit"]["state"] == "live"
    assert [one for one in page["header"]["banners"] if one["severity"] == "page"] == []


def test_its_figures_are_of_simulated_time_and_of_whole_hours(page: dict[str, Any]) -> None:
    observed = page["observed"]
    # Each process tells its own time once a second, in which hours pass here: the observer's may be
    # ahead of the worker's on the page.
    assert START + 6 * HOUR < observed["until"] <= START + DAYS * DAY
    assert START < page["clock"]["now"] <= START + DAYS * DAY
    assert observed["until"] % COARSE == 0
    assert observed["until"] - observed["since"] <= 25 * HOUR
    points = [point for series in observed["series"] for point in series["points"]]
    assert points
    assert {series["window_s"] * 1_000 % HOUR for series in observed["series"]} == {0}
    assert all(START < at <= observed["until"] and at % HOUR == 0 for at, *_ in points)


def test_its_figures_of_behaviour_are_those_of_the_topics(
    page: dict[str, Any], folder: Path
) -> None:
    observed, behaviour = page["observed"], page["observed"]["behaviour"]
    told = _events(folder, observed["since"], observed["until"])
    counted = Counter(one["type"] for one in told)
    assert behaviour["views"] == counted["product_viewed"] > 100
    assert behaviour["cart_adds"] == counted["product_added"] > 0
    orders = {one["order_id"]: one for one in told if one["type"] == "order_completed"}
    assert behaviour["orders"] == len(orders) > 0
    assert behaviour["order_value"] == pytest.approx(sum(one["total"] for one in orders.values()))
    (source,) = observed["sources"]
    messages = {tuple(one["source"][:4]) for one in told}
    assert source["period"] == sum(topic == source["source"] for topic, *_ in messages)


def test_its_figures_of_channels_are_those_of_the_topics(
    page: dict[str, Any], folder: Path
) -> None:
    observed = page["observed"]
    span = observed["since"], observed["until"]
    decided = [one for one in _lines(folder / "decisions.jsonl") if _between(one["at"], *span)]
    reported = [
        one for one in _lines(folder / "feedback.jsonl") if _between(one["occurred_at"], *span)
    ]
    assert observed["reasons"] == Counter(one["reason"] for one in decided)
    assert len(decided) > 50
    for row in observed["channels"]:
        channel = row["channel"]
        sent = [one for one in decided if (one["outcome"], one["channel"]) == ("send", channel)]
        assert row["sent"] == len(sent)
        for kind in ("accepted", "delivered", "bounced", "unsubscribed"):
            told = {
                one["action_id"]
                for one in reported
                if (one["channel"], one["type"]) == (channel, kind)
            }
            assert row[kind] == len(told)
    assert sum(row["accepted"] for row in observed["channels"]) > 0


def test_it_tells_where_visits_come_from_and_what_an_order_costs(page: dict[str, Any]) -> None:
    rows = {row["source"]: row for row in page["observed"]["acquisition"]}
    assert {"direct", "search", "paid_search", "social", "affiliate"} <= rows.keys()
    paid = rows["paid_search"]
    assert paid["cost"] == pytest.approx(0.9 * paid["visits"])
    assert rows["direct"]["cost"] is None


def test_brakes_do_not_pull_in_simulated_time_and_the_page_says_so(
    page: dict[str, Any], folder: Path
) -> None:
    assert any("brakes do not pull" in note for note in page["observed"]["notes"])
    settings = [
        line["value"]
        for line in _lines(folder / "events" / "0.jsonl")
        if line["value"]["type"] == "settings"
    ]
    assert settings
    assert [one for one in settings if "control" in one] == []
