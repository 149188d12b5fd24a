"""The operator's commands on a real Kafka and a real Redis, from empty topics to an answer."""

import asyncio
import gzip
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rules import campaigns, templates
from streams.cli import main
from streams.log import codec
from streams.log.producer import Producer, Record
from streams.replay import origins
from streams.replay.compare import canonical
from tests.support.kafka import RunningKafka

DATA = Path(os.environ.get("REKINDLE_TEST_DATA", "/work/shared/data"))
RETAILROCKET = DATA / "retailrocket_events_5000_visitors.csv.gz"
SHIPPED = str(Path(__file__).parents[2] / "rules/campaigns.toml")

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


class Operator:
    """Somebody at a terminal, whose settings name the servers of the test."""

    def __init__(self, kafka: str, redis: str, prefix: str, models: Path) -> None:
        self.prefix = prefix
        self.kafka = kafka
        self._env = {
            "REKINDLE_KAFKA": kafka,
            "REKINDLE_REDIS": redis,
            "REKINDLE_TOPIC_PREFIX": prefix,
            "REKINDLE_MODELS": str(models),
        }

    def says(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env=self._env, prog_name="rekindle")

    def gets(self, *arguments: str) -> str:
        shown = self.says(*arguments)
        assert shown.exit_code == 0, shown.output
        return shown.stdout


@pytest.fixture
def operator(kafka: RunningKafka, redis_url: str, topic_prefix: str, tmp_path: Path) -> Operator:
    return Operator(kafka.bootstrap, redis_url, topic_prefix, tmp_path / "models")


def test_from_empty_servers_to_campaigns_in_force(operator: Operator) -> None:
    assert "rekindle topics create" in operator.says("topics", "check").stdout
    made = operator.gets("topics", "create", "--partitions", "4")
    assert f"created {operator.prefix}events\n" in made
    assert operator.gets("topics", "create", "--partitions", "4") == "nothing was missing\n"
    assert operator.gets("topics", "check").startswith("ok")

    applied = operator.gets("apply")
    assert "in force in 4 partitions" in applied
    assert "mode dry_run" in applied
    paused = json.loads(operator.gets("pause", "sms", "--json"))
    assert (paused["name"], paused["paused"], paused["partitions"]) == ("channel:sms", True, 4)
    assert "campaign:cart resumed" in operator.gets("resume", "cart")


def test_a_second_start_of_a_deployment_leaves_what_was_applied(operator: Operator) -> None:
    operator.gets("topics", "create")
    first = operator.says("apply", "--if-none")
    second = operator.says("apply", "--if-none")

    assert "in force" in first.output
    assert "left as it is" in second.output


def test_the_doctor_sees_what_no_worker_has_taken_yet(operator: Operator) -> None:
    operator.gets("topics", "create", "--partitions", "2")

    shown = operator.says("doctor", "--json")

    findings = {found["about"]: found for found in json.loads(shown.stdout)}
    assert shown.exit_code == 1
    assert [name for name, found in findings.items() if not found["ok"]] == ["campaigns"]
    assert "rekindle apply" in findings["campaigns"]["sentence"]


def test_words_of_ones_own_survive_a_new_campaigns_file(operator: Operator, tmp_path: Path) -> None:
    operator.gets("topics", "create", "--partitions", "1")
    words = tmp_path / "words/cart/en/push.liquid"
    words.parent.mkdir(parents=True)
    words.write_text("title: Mine\n---\nmine", "utf-8")
    first = json.loads(
        operator.gets("apply", SHIPPED, "--templates", str(tmp_path / "words"), "--json")
    )

    second = json.loads(operator.gets("apply", SHIPPED, "--json"))

    assert first["templates"] is not None
    assert second["templates"] is None
    assert second["campaigns"] == first["campaigns"]


def test_the_first_campaigns_file_brings_the_shipped_words(operator: Operator) -> None:
    operator.gets("topics", "create", "--partitions", "1")

    applied = json.loads(operator.gets("apply", SHIPPED, "--json"))

    assert applied["templates"] is not None


def test_a_broken_file_changes_nothing(operator: Operator, tmp_path: Path) -> None:
    operator.gets("topics", "create", "--partitions", "1")
    broken = tmp_path / "broken.toml"
    broken.write_text("version = 1\n")

    shown = operator.says("apply", str(broken))

    assert shown.exit_code == 1
    assert "broken.toml:" in shown.stderr
    replayed = json.loads(operator.gets("replay", f"kafka:{operator.prefix}events", "--json"))
    assert replayed["settings"] == []


def test_history_is_appended_to_the_log(operator: Operator, tmp_path: Path) -> None:
    operator.gets("topics", "create", "--partitions", "3")
    path = tmp_path / "optouts.csv"
    lines = [f"opt_out,u-{n},sms,2026-01-01T00:00:00Z" for n in range(50)]
    path.write_text("\n".join(["type,user_id,channel,at", *lines]))

    loaded = json.loads(operator.gets("import", str(path), "--json"))

    assert loaded["loaded"] == 50
    replayed = json.loads(operator.gets("replay", f"kafka:{operator.prefix}events", "--json"))
    assert replayed["events_by_kind"] == {"ConsentChanged": 50}
    # Brought in again, the owner skips it by source position.
    operator.gets("import", str(path))
    again = json.loads(operator.gets("replay", f"kafka:{operator.prefix}events", "--json"))
    assert again["events_by_kind"] == {"ConsentChanged": 50}
    assert again["skipped"] == {"position": 50}


def test_somebody_unknown_is_one_sentence(operator: Operator) -> None:
    operator.gets("topics", "create", "--partitions", "2")

    shown = operator.says("user", "show", "u-404")

    assert shown.exit_code == 1
    assert shown.stderr == "Nothing is known about u-404: no event of hers was folded yet.\n"
    asked = operator.says("user", "why", "u-404")
    assert asked.exit_code == 1
    assert asked.stderr.startswith("Nothing is known about u-404 in the topics of ")


def test_a_source_is_reset_to_the_next_generation(operator: Operator) -> None:
    topic = f"{operator.prefix}events.raw"

    assert json.loads(operator.gets("sources", "reset", topic, "--json"))["generation"] == 1
    assert json.loads(operator.gets("sources", "reset", topic, "--json"))["generation"] == 2


def test_a_topic_replays_as_the_file_it_was_loaded_from(operator: Operator, tmp_path: Path) -> None:
    if not RETAILROCKET.is_file():
        pytest.skip(f"no real data at {DATA}: set REKINDLE_TEST_DATA")
    path = tmp_path / "slice.csv"
    with gzip.open(RETAILROCKET, "rt") as file:
        path.write_text("".join(file.readlines()[:1_500]), "utf-8")
    operator.gets("topics", "create", "--partitions", "4")
    operator.gets("apply")
    asyncio.run(_load(operator, path))
    from_topic, from_file = tmp_path / "topic.jsonl", tmp_path / "file.jsonl"

    topic = f"kafka:{operator.prefix}events"
    operator.gets("replay", topic, "--mode", "live", "--decisions", str(from_topic))
    operator.gets("replay", str(path), "--decisions", str(from_file))

    lines = from_topic.read_bytes().splitlines()
    assert len(lines) > 10
    assert canonical(lines) == canonical(from_file.read_bytes().splitlines())


async def _load(operator: Operator, path: Path) -> None:
    """Write what a loader writes; the settings stand there already."""
    artefacts = {"campaigns": campaigns.shipped(), "templates": templates.artefact()}
    runs: dict[int, list[Record]] = {}
    async for placed in origins.file(path, "retailrocket", artefacts, partitions=4).log:
        if placed.offset:
            record = Record(codec.key(placed.record), codec.write(placed.record))
            runs.setdefault(placed.partition, []).append(record)
    producer = Producer(operator.kafka)
    for partition, records in runs.items():
        await producer.run(f"{operator.prefix}events", partition, records)
    await producer.stop()
