"""Real public data through real parts, and through replay: the same decisions, byte for byte."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from engine.events import Event
from streams.replay.compare import canonical
from streams.sources import reader
from streams.sources.ticks import merge, tick_times
from tests.support.agreement import wait_folded
from tests.support.oracle import written
from tests.support.running import Shop, shipped

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

DATA = Path(os.environ.get("REKINDLE_TEST_DATA", "../shared/data"))
FILES = {
    "rees46": "rees46_multicategory_2019-10-01_first170min.csv.gz",
    "retailrocket": "retailrocket_events_5000_visitors.csv.gz",
    "onlineretail": "uci_online_retail.csv.gz",
}
# Online Retail has 541,909 lines: the first ones hold orders and cancellations enough.
LINES = {"onlineretail": 6_000}

# What the three together must contain, so that agreeing means something.
seen: Counter[str] = Counter()


@pytest.mark.parametrize("name", FILES)
def test_worker_replay_of_the_topic_and_replay_of_the_file_decide_the_same(
    name: str, shop: Shop, tmp_path: Path
) -> None:
    campaigns = tmp_path / "live.toml"
    campaigns.write_text(shipped(replace={"share = 0.05": "share = 0.2"}))
    file = _file(name, tmp_path)
    events = [event for event in reader(name)(file) if isinstance(event, Event)]
    received = [event.received_at for event in events]
    shop.apply(campaigns.read_text())
    shop.load(list(merge(events, tick_times(min(received), max(received)))))

    with shop.worker("decide"):
        wait_folded(shop, seconds=180)

    decided = shop.read("decisions")
    live = {at: value for (_, at), value in written("decisions", decided).items()}
    topic = _replay(f"kafka:{shop.prefix}events", tmp_path, shop)
    for partition in range(shop.partitions):
        mine = [value for _, value in live.get(partition, [])]
        users = {json.loads(value)["user_id"] for value in mine}
        assert mine == [line for line in topic if json.loads(line)["user_id"] in users]
    wanted = canonical(record.value for record in decided)
    assert canonical(topic) == wanted
    for partitions, chunk in ((1, 500), (4, 500), (4, 1)):
        file_options = ["--format", name, "--campaigns", str(campaigns)]
        cut = ["--partitions", str(partitions), "--chunk", str(chunk)]
        assert canonical(_replay(str(file), tmp_path, shop, *file_options, *cut)) == wanted
    seen.update(_kinds(json.loads(line) for line in wanted))


def test_the_three_together_contain_what_there_is_to_get_wrong() -> None:
    if not seen:
        pytest.fail("run this file as a whole: the three data sets are counted together")
    wanted = {
        "sent",
        "quiet_hours",
        "capped or cooling down",
        "would_send_holdout",
        "converted",
        "post-purchase-7d due",
        "post-purchase-30d due",
    }
    assert wanted <= seen.keys(), wanted - seen.keys()


def _file(name: str, directory: Path) -> Path:
    """Return the data set, or its first lines as a file of their own."""
    whole = DATA / FILES[name]
    if name not in LINES:
        return whole
    part = directory / f"{name}.csv"
    with gzip.open(whole, "rt") as lines:
        part.write_text("".join(islice(lines, LINES[name])))
    return part


def _replay(source: str, directory: Path, shop: Shop, *options: str) -> list[bytes]:
    out = directory / "decisions.jsonl"
    command = [sys.executable, "-m", "streams.cli", "replay", source, "--decisions", str(out)]
    environ = {**os.environ, **shop.environ}
    subprocess.run([*command, *options], env=environ, check=True, capture_output=True)
    return out.read_bytes().splitlines()


def _kinds(decisions: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for decision in decisions:
        reason = decision["reason"]
        found[reason] += 1
        if reason.startswith("cap:") or reason == "cooldown":
            found["capped or cooling down"] += 1
        if decision["outcome"] != "disarm":
            found[f"{decision['campaign']} due"] += 1
    return found
