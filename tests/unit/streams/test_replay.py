"""Replay: the same engine over real events, byte for byte the same however it is cut."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from engine.errors import Refused
from engine.events import SettingsRecord, Tick
from engine.times import HOUR
from rules import campaigns, templates
from streams.log import codec
from streams.replay import origins, recording
from streams.replay.compare import canonical
from streams.replay.difference import Difference
from streams.replay.run import Options, Placed, Result, replay
from streams.replay.told import Sides, told

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("REKINDLE_TEST_DATA", "/work/shared/data"))
RETAILROCKET = DATA / "retailrocket_events_5000_visitors.csv.gz"

ARTEFACTS = {"campaigns": campaigns.shipped(), "templates": templates.artefact()}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every visitor with a cart in RetailRocket's first month: carts, orders, nights and days."""
    if not RETAILROCKET.is_file():
        pytest.skip(f"no real data at {DATA}: set REKINDLE_TEST_DATA")
    with gzip.open(RETAILROCKET, "rt") as file:
        header, *rows = file.read().splitlines()
    buying = {row.split(",")[1] for row in rows if row.split(",")[2] != "view"}
    kept = [row for row in rows[:2_500] if row.split(",")[1] in buying]
    path = tmp_path_factory.mktemp("real") / "retailrocket.csv"
    path.write_text("\n".join([header, *kept]), "utf-8")
    return path


class Run:
    """One replay of a file, with its lines."""

    def __init__(self, folder: Path, events: Path, partitions: int = 1, chunk: int = 500) -> None:
        decisions, actions = folder / "decisions.jsonl", folder / "actions.jsonl"
        origin = origins.file(events, "retailrocket", ARTEFACTS, partitions=partitions)
        options = Options(mode="live", chunk=chunk, decisions=decisions, actions=actions)
        self.result: Result = asyncio.run(replay(origin, options))
        self.decisions = decisions.read_bytes().splitlines()
        self.actions = actions.read_bytes().splitlines()


@pytest.fixture(scope="module")
def reference(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("reference"), events)


def test_real_shoppers_are_decided_about(reference: Run) -> None:
    reasons = reference.result.preview.reasons

    assert reference.result.report.events["ProductAdded"] > 20
    assert reasons["sent"] > 0
    assert reasons["converted"] > 0
    assert sum(reasons.values()) == len(reference.decisions)
    assert len(reference.actions) == reasons["sent"]


@pytest.mark.parametrize(("partitions", "chunk"), [(1, 1), (4, 500), (4, 1)])
def test_partitions_and_chunks_change_nothing(
    events: Path, reference: Run, tmp_path: Path, partitions: int, chunk: int
) -> None:
    other = Run(tmp_path, events, partitions, chunk=chunk)

    assert canonical(other.decisions) == canonical(reference.decisions)
    assert canonical(other.actions) == canonical(reference.actions)
    assert other.result.as_json() == reference.result.as_json()


def test_one_partition_gives_the_same_bytes_with_positions(
    events: Path, reference: Run, tmp_path: Path
) -> None:
    other = Run(tmp_path, events, chunk=3)

    assert other.decisions == reference.decisions
    assert other.actions == reference.actions


@pytest.mark.parametrize("seed", ["0", "4242"])
def test_the_hash_seed_of_the_process_changes_nothing(
    events: Path, reference: Run, tmp_path: Path, seed: str
) -> None:
    out = tmp_path / "d.jsonl"
    program = "from streams.cli import main; main()"
    arguments = ["replay", str(events), "--format", "retailrocket", "--decisions", str(out)]
    subprocess.run(
        [sys.executable, "-c", program, *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "REKINDLE_CLOCK": "live"},
        check=True,
        capture_output=True,
    )

    assert out.read_bytes().splitlines() == reference.decisions


def test_every_armed_trigger_is_accounted_for(reference: Run) -> None:
    for campaign in reference.result.preview.campaigns.values():
        closed = (campaign.would_get, campaign.silenced, campaign.ended)
        assert campaign.open == 0  # a month after the last event nothing is left
        assert campaign.armed == sum(counted.total() for counted in closed)


def test_dry_run_sends_nothing_and_would_send_as_much(
    events: Path, reference: Run, tmp_path: Path
) -> None:
    origin = origins.file(events, "retailrocket", ARTEFACTS, partitions=1)
    actions = tmp_path / "actions.jsonl"

    result = asyncio.run(replay(origin, Options(mode="dry_run", actions=actions)))

    assert actions.read_bytes() == b""
    assert result.preview.reasons["would_send_dry_run"] == reference.result.preview.reasons["sent"]
    mine, theirs = result.preview.campaigns["cart"], reference.result.preview.campaigns["cart"]
    assert mine.would_get == theirs.would_get
    assert mine.cost == pytest.approx(theirs.cost)


def test_the_file_itself_decides_about_its_mode_when_nobody_else_does(events: Path) -> None:
    origin = origins.file(events, "retailrocket", ARTEFACTS, partitions=1)

    result = asyncio.run(replay(origin, Options()))

    assert result.preview.reasons["sent"] == 0
    assert result.preview.reasons["would_send_dry_run"] > 0


# --- a recorded log ------------------------------------------------------------------------------


async def _placed(events: Path, partitions: int) -> list[Placed]:
    origin = origins.file(events, "retailrocket", ARTEFACTS, partitions=partitions)
    return [placed async for placed in origin.log]


@pytest.fixture(scope="module")
def recorded(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log a loader would have written, recorded from 4 partitions with gaps in the offsets."""
    folder = tmp_path_factory.mktemp("recorded")
    with recording.Recorder(folder) as recorder:
        for placed in asyncio.run(_placed(events, 4)):
            at = placed.offset * 2 + 5
            recorder.record("events", placed.partition, at, 0, None, codec.write(placed.record))
        for content in ARTEFACTS.values():
            sha = recording_name(content)
            recorder.record("artefacts", 0, 0, 0, sha.encode(), content)
    return folder


def recording_name(content: bytes) -> str:
    return sha256(content).hexdigest()


def test_a_recorded_log_is_decided_as_its_file(
    recorded: Path, reference: Run, tmp_path: Path
) -> None:
    out = tmp_path / "d.jsonl"

    result = asyncio.run(replay(origins.recorded(recorded), Options(mode="live", decisions=out)))

    assert canonical(out.read_bytes().splitlines()) == canonical(reference.decisions)
    assert result.settings_hashes == reference.result.settings_hashes
    positions = [json.loads(line)["pos"] for line in out.read_bytes().splitlines()]
    assert all(int(pos.partition(".")[0]) % 2 == 1 for pos in positions)  # the log's own offsets


def test_a_campaigns_file_replaces_that_of_the_log(recorded: Path) -> None:
    nobody = campaigns.shipped().replace(b"share = 0.05", b"share = 1.0")

    result = asyncio.run(replay(origins.recorded(recorded), Options(mode="live", campaigns=nobody)))

    assert result.preview.reasons["sent"] == 0
    assert result.preview.reasons["would_send_holdout"] > 0


def test_a_log_without_its_artefacts_says_what_to_do(tmp_path: Path) -> None:
    with recording.Recorder(tmp_path) as recorder:
        settings = SettingsRecord(campaigns="0" * 64)
        recorder.record("events", 0, 0, 0, None, codec.write(settings))
        recorder.record("events", 0, 1, 0, None, codec.write(Tick(now=HOUR)))

    with pytest.raises(Refused, match="--campaigns"):
        asyncio.run(replay(origins.recorded(tmp_path), Options()))


def test_what_the_worker_would_dead_letter_is_counted_not_folded(tmp_path: Path) -> None:
    with recording.Recorder(tmp_path) as recorder:
        recorder.record("events", 0, 0, 0, None, b'{"type":"nonsense"}')
        recorder.record("events", 0, 1, 0, None, codec.write(Tick(now=HOUR)))

    result = asyncio.run(replay(origins.recorded(tmp_path), Options()))

    assert result.unreadable == {"undecodable": 1}
    assert result.report.ticks == 1


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="holds no recorded events"):
        origins.recorded(tmp_path)


def test_a_recorded_run_is_continued_not_overwritten(tmp_path: Path) -> None:
    for offset in range(2):
        with recording.Recorder(tmp_path) as recorder:
            recorder.record("events", 0, offset, 7, None, codec.write(Tick(now=offset)))
            recorder.record("decisions", 0, offset, 7, b"u", b'{"n":1}')

    found = list(recording.records(tmp_path / "events/0.jsonl"))
    assert [(line.offset, line.timestamp) for line in found] == [(0, 7), (1, 7)]
    assert (tmp_path / "decisions.jsonl").read_bytes() == b'{"n":1}\n' * 2


# --- comparing two files -------------------------------------------------------------------------


NOBODY = ARTEFACTS["campaigns"].replace(b"share = 0.05", b"share = 1.0")


def compared(events: Path, before: bytes, after: bytes | None = None) -> Result:
    """Replay with the shipped file, or ``after``, compared with ``before``."""
    origin = origins.file(events, "retailrocket", ARTEFACTS, partitions=2)
    return asyncio.run(replay(origin, Options(mode="live", campaigns=after, other=before)))


def difference(result: Result) -> Difference:
    assert result.difference is not None
    return result.difference


def test_the_same_file_makes_no_difference(events: Path) -> None:
    result = compared(events, ARTEFACTS["campaigns"])

    assert difference(result).changed == {}
    assert difference(result).same > 0
    assert "end as before" in "\n".join(told(result))


def test_what_the_new_file_gives_is_gained_against_the_old_one(
    events: Path, reference: Run
) -> None:
    found = difference(compared(events, before=NOBODY))

    gained = sum(
        count
        for (_, before, after), count in found.changed.items()
        if not before.startswith("gets") and after.startswith("gets")
    )
    assert gained == reference.result.preview.reasons["sent"]
    assert found.gained == found.after.people
    assert found.lost == set()


def test_what_the_new_file_takes_away_is_lost(events: Path, reference: Run) -> None:
    result = compared(events, before=ARTEFACTS["campaigns"], after=NOBODY)
    found = difference(result)

    assert found.gained == set()
    assert found.lost == found.before.people
    assert result.preview.reasons["sent"] == 0  # the preview is that of the new file
    assert found.reasons["would_send_holdout"][1] > found.reasons["would_send_holdout"][0]
    assert 0 < len(found.examples()) <= 10


def test_cost_and_worth_of_both_sides_are_those_of_the_decisions(
    events: Path, reference: Run, tmp_path: Path
) -> None:
    result = compared(events, before=ARTEFACTS["campaigns"], after=NOBODY)
    before = difference(result).before.campaigns["cart"]

    sent = [one for line in reference.decisions if (one := json.loads(line))["outcome"] == "send"]
    carts = [one for one in sent if one["campaign"] == "cart"]
    assert before.messages == len(carts)
    assert before.worth == pytest.approx(
        sum(one["channels"][one["channel"]]["worth"] for one in carts)
    )
    prices = campaigns.load(ARTEFACTS["campaigns"], "shipped").channels
    assert before.cost == pytest.approx(sum(prices[one["channel"]].cost for one in carts))
    assert difference(result).after.campaigns["cart"].cost == 0.0


def test_a_campaign_only_one_file_has_is_part_of_the_difference(events: Path) -> None:
    old = ARTEFACTS["campaigns"].replace(b'id = "cart"', b'id = "basket"')

    changed = difference(compared(events, before=old)).changed

    assert any(name == "cart" and before == "never decided" for name, before, _ in changed)
    assert any(name == "basket" and after == "never decided" for name, _, after in changed)


def test_a_recorded_log_is_compared_with_what_it_had_in_force(recorded: Path) -> None:
    options = Options(mode="live", campaigns=NOBODY, as_recorded=True)

    found = difference(asyncio.run(replay(origins.recorded(recorded), options)))

    alone = asyncio.run(replay(origins.recorded(recorded), Options(mode="live")))
    assert found.before.reasons == alone.preview.reasons
    assert found.after.reasons["sent"] == 0


def test_the_same_question_gets_the_same_text(events: Path) -> None:
    sides = Sides("mine.toml", "yours.toml")
    origin = origins.file(events, "retailrocket", ARTEFACTS, partitions=7)
    options = Options(mode="live", chunk=3, other=NOBODY)

    one = "\n".join(told(compared(events, NOBODY), sides))
    other = "\n".join(told(asyncio.run(replay(origin, options)), sides))

    # every partition has its own ticks, and they are counted
    assert one.partition("\n\n")[2] == other.partition("\n\n")[2]
    assert "Next: rekindle campaigns check mine.toml, then rekindle apply mine.toml." in one
    assert all(len(line) <= 80 for line in one.splitlines())


# --- formats -------------------------------------------------------------------------------------


def test_a_format_is_guessed_from_the_first_line(events: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.jsonl"
    ours.write_bytes(codec.write(Tick(now=1)) + b"\n")
    theirs = tmp_path / "segment.jsonl"
    theirs.write_text('{"type":"track","messageId":"m","userId":"u","event":"Product Viewed"}\n')
    unknown = tmp_path / "unknown.csv"
    unknown.write_text("a,b,c\n1,2,3\n")

    assert origins.guessed(events) == "retailrocket"
    assert origins.guessed(ours) == "events"
    assert origins.guessed(theirs) == "segment"
    with pytest.raises(Refused, match="--format"):
        origins.guessed(unknown)


def test_our_own_records_in_one_file_are_followed(events: Path, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    placed = asyncio.run(_placed(events, 1))
    path.write_bytes(b"".join(codec.write(entry.record) + b"\n" for entry in placed))
    origin = origins.file(path, "events", ARTEFACTS, partitions=3)

    result = asyncio.run(replay(origin, Options(mode="live")))

    direct = origins.file(events, "retailrocket", ARTEFACTS, partitions=1)
    assert result.as_json() == asyncio.run(replay(direct, Options(mode="live"))).as_json()


def test_the_preview_is_written_for_people(reference: Run) -> None:
    text = "\n".join(told(reference.result))

    assert "cart:" in text
    assert "would get:" in text
    assert "bytes at the median" in text
