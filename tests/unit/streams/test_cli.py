"""The command line: every command helps with an example, and a mistake is one sentence."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from rules import campaigns, templates
from streams.cli import COMMANDS, main

ROOT = Path(__file__).parents[3]
SHIPPED = str(ROOT / "rules/campaigns.toml")
# Nothing listens here: port 1 is refused at once.
NOWHERE = {"REKINDLE_KAFKA": "127.0.0.1:1", "REKINDLE_REDIS": "redis://127.0.0.1:1/0"}


def rekindle(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), env=env or {}, prog_name="rekindle")


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name)


ALL = sorted(every_command(main))
# These end when they are told to, and `score` writes the table it was given, one column wider.
_RUN_ON = {("worker",), ("up",), ("observe",), ("anomalies", "score")}


def test_the_first_release_is_complete() -> None:
    assert {" ".join(path) for path in ALL} == {
        "demo",
        "init",
        "up",
        "worker",
        "topics create",
        "topics check",
        "apply",
        "campaigns check",
        "campaigns explain",
        "import",
        "move",
        "replay",
        "report campaigns",
        "train",
        "models list",
        "models measure",
        "models show",
        "models compare",
        "trial",
        "user show",
        "user why",
        "pause",
        "resume",
        "throttle",
        "controls",
        "sources reset",
        "targets",
        "observe",
        "audit",
        "anomalies list",
        "anomalies score",
        "anomalies verdict",
        "settings",
        "doctor",
        "bench",
    }


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_helps_with_an_example(path: tuple[str, ...]) -> None:
    shown = rekindle(*path, "--help")

    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert f"rekindle {' '.join(path)}" in shown.output.partition("Example")[2]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_but_those_that_run_on_speaks_json(path: tuple[str, ...]) -> None:
    assert ("--json" in rekindle(*path, "--help").output) == (path not in _RUN_ON)


def test_help_is_there_at_once() -> None:
    program = "import time; t = time.process_time(); from streams.cli import main\n"
    program += "try: main(['--help'])\nexcept SystemExit: print(time.process_time() - t)"

    ran = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    ]

    # CPU time, the best of three: other tests share the machine.
    assert min(float(output.splitlines()[-1]) for output in ran) < 0.3


def test_help_imports_nothing_heavy() -> None:
    heavy = "faust aiokafka redis lightgbm numpy liquid babel rich aiohttp"
    program = (
        "import sys; from streams.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[-1] == "[]"


def test_the_version_is_printed() -> None:
    assert rekindle("--version").output.startswith("rekindle ")


def test_every_command_is_listed_with_a_short_help() -> None:
    shown = rekindle("--help").output

    for name in COMMANDS:
        assert f"\n  {name} " in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("campaigns", "check"),
        ("campaigns", "check", "/no/such/file"),
        ("worker", "--only", "decide,everything"),
        ("replay", "/no/such/file"),
        ("replay", SHIPPED, "--tick", "5"),
        ("replay", str(ROOT), "--partitions", "4"),
        ("topics", "create", "--partitions", "0"),
        ("import", "/no/such.csv"),
    ],
    ids=" ".join,
)
def test_wrong_use_exits_with_2(arguments: tuple[str, ...]) -> None:
    shown = rekindle(*arguments)

    assert shown.exit_code == 2
    assert "Traceback" not in shown.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("topics", "check"),
        ("topics", "create"),
        ("apply",),
        ("pause", "sms"),
        ("user", "why", "u-1"),
        ("user", "show", "u-1"),
        ("train",),
        ("replay", "kafka:rekindle.events"),
        ("sources", "reset", "rekindle.events.raw"),
        ("worker",),
    ],
    ids=" ".join,
)
def test_kafka_or_redis_away_is_one_sentence(arguments: tuple[str, ...]) -> None:
    shown = rekindle(*arguments, env=NOWHERE)

    assert shown.exit_code == 1, shown.output
    assert isinstance(shown.exception, SystemExit)
    assert len(shown.stderr.strip().splitlines()) == 1
    assert "Traceback" not in shown.output
    assert shown.stdout == ""


@pytest.mark.parametrize("path", [("settings",), ("doctor",), ("topics", "check"), ("worker",)])
def test_a_wrong_setting_is_refused_before_anything_else(path: tuple[str, ...]) -> None:
    shown = rekindle(*path, env={"REKINDLE_KAFA": "x", **NOWHERE})

    assert shown.exit_code == 1
    assert shown.stderr == "REKINDLE_KAFA is no setting: did you mean REKINDLE_KAFKA?\n"


def test_up_takes_both_servers_or_none() -> None:
    shown = rekindle("up", env={"REKINDLE_KAFKA": NOWHERE["REKINDLE_KAFKA"]})

    assert shown.exit_code == 1
    assert "set REKINDLE_REDIS too" in shown.stderr


# --- settings ------------------------------------------------------------------------------------


def test_settings_are_listed_without_secrets() -> None:
    environ = {"REKINDLE_OPERATOR_TOKEN": "s3cret", "REKINDLE_WORKER_ID": "w-9"}

    plain = rekindle("settings", env=environ)
    rows = json.loads(rekindle("settings", "--json", env=environ).output)

    assert plain.exit_code == 0
    assert "s3cret" not in plain.output
    assert "* REKINDLE_WORKER_ID" in plain.output
    told = {row["name"]: (row["value"], row["origin"]) for row in rows}
    assert told["REKINDLE_OPERATOR_TOKEN"] == ("set", "environment")
    assert told["REKINDLE_WORKER_ID"] == ("w-9", "environment")
    assert told["REKINDLE_CLOCK"] == ("live", "default")


# --- campaigns -----------------------------------------------------------------------------------


def test_the_shipped_campaigns_are_good() -> None:
    shown = rekindle("campaigns", "check", SHIPPED)

    assert shown.exit_code == 0
    first = shown.output.splitlines()[0]
    assert first.startswith("ok: 3 campaigns (cart v1 live")
    assert "mode dry_run" in first
    assert "holdout 5.0%" in first
    assert "exploration 10.0%" in first


def test_what_is_wrong_with_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(campaigns.shipped().replace(b'mode = "dry_run"', b'mode = "life"'))

    shown = rekindle("campaigns", "check", str(path))

    assert shown.exit_code == 1
    assert f"{path}:" in shown.stderr
    assert "life" in shown.stderr


def test_templates_are_judged_with_the_file(tmp_path: Path) -> None:
    words = tmp_path / "cart/en/push.liquid"
    words.parent.mkdir(parents=True)
    words.write_text("title: t\n---\nHi {{ nmae }}", "utf-8")

    shown = rekindle("campaigns", "check", SHIPPED, "--templates", str(tmp_path))

    assert shown.exit_code == 1
    assert "cart/en/push.liquid: 'nmae' is not known" in shown.stderr


# --- replay --------------------------------------------------------------------------------------

MESSAGES = [
    {
        "type": "identify",
        "messageId": "m-1",
        "userId": "u-1",
        "timestamp": "2026-03-04T02:00:00Z",
        "traits": {"email": "u1@example.com", "email_opt_in": True, "timezone": "Asia/Shanghai"},
    },
    {
        "type": "track",
        "event": "Product Added",
        "messageId": "m-2",
        "userId": "u-1",
        "timestamp": "2026-03-04T02:01:00Z",
        "properties": {"product_id": "p-1", "name": "Runner 8", "price": 1290, "quantity": 1},
    },
]


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(message) for message in MESSAGES))
    return path


@pytest.fixture
def no_chance(tmp_path: Path) -> str:
    path = tmp_path / "campaigns.toml"
    text = campaigns.shipped().replace(b"share = 0.05", b"share = 0.0")
    path.write_bytes(text.replace(b"share = 0.10", b"share = 0.0"))
    return str(path)


def test_a_cart_is_followed_by_one_email(messages: Path, no_chance: str, tmp_path: Path) -> None:
    out = tmp_path / "actions.jsonl"

    shown = rekindle(
        "replay", str(messages), "--campaigns", no_chance, "--actions", str(out), "--json"
    )

    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.output)["campaigns"]["cart"]["would_get"] == {"email": 1}
    action = json.loads(out.read_bytes())
    assert action["to"]["address"] == "u1@example.com"
    assert "Runner 8" in action["content"]["body"]


def test_ticks_can_be_wider_apart(messages: Path, no_chance: str) -> None:
    arguments = ["replay", str(messages), "--campaigns", no_chance]

    shown = rekindle(*arguments, "--tick", "1m")

    assert shown.exit_code == 0, shown.output
    assert "1 armed, 1 due, 0 open" in shown.output


def test_why_is_told_from_a_replay(messages: Path, no_chance: str, tmp_path: Path) -> None:
    out = str(tmp_path / "decisions.jsonl")
    rekindle("replay", str(messages), "--campaigns", no_chance, "--decisions", out)

    plain = rekindle("user", "why", "u-1", "--from", out, "--campaigns", no_chance)
    machine = rekindle("user", "why", "u-1", "--from", out, "--json")
    nobody = rekindle("user", "why", "u-2", "--from", out)

    assert "sent by email: " in plain.output
    assert "more orders" in plain.output
    entries = json.loads(machine.output)["entries"]
    assert [one["reason"] for entry in entries for one in entry["decisions"]] == ["sent"]
    assert "no decision about u-2" in nobody.output


def test_a_file_that_is_no_decisions_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("nonsense\n")

    shown = rekindle("user", "why", "u-1", "--from", str(path))

    assert shown.exit_code == 1
    assert f"{path}:1: not a decision" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "needs --campaigns"),
        (("--campaigns", SHIPPED), "a file of events has no settings"),
    ],
)
def test_recorded_is_compared_with_another_file_over_a_recorded_log(
    messages: Path, arguments: tuple[str, ...], said: str
) -> None:
    shown = rekindle("replay", str(messages), "--diff", "recorded", *arguments)

    assert shown.exit_code == 2
    assert said in " ".join(shown.stderr.split())


def test_a_file_is_compared_with_the_old_one(
    messages: Path, no_chance: str, tmp_path: Path
) -> None:
    old = tmp_path / "nobody.toml"
    old.write_bytes(Path(no_chance).read_bytes().replace(b"share = 0.0", b"share = 1.0", 1))
    arguments = ["replay", str(messages), "--campaigns", no_chance, "--diff", str(old)]

    shown = rekindle(*arguments)
    found = json.loads(rekindle(*arguments, "--json").output)["difference"]

    assert shown.exit_code == 0, shown.output
    assert "cart: nothing (holdout group) -> e-mail" in shown.output
    assert found["newly_spoken_to"] == ["u-1"]
    assert found["no_longer_spoken_to"] == []
    assert found["after"]["campaigns"]["cart"]["assumed_worth"] > 0
    assert (found["before"]["messages"], found["after"]["messages"]) == (0, 1)


def test_a_broken_second_file_is_refused_before_the_replay(messages: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("version = 1")

    shown = rekindle("replay", str(messages), "--diff", str(path))

    assert shown.exit_code == 1
    assert f"{path}:" in shown.stderr


def test_a_file_of_unknown_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")

    shown = rekindle("replay", str(path))

    assert shown.exit_code == 1
    assert "--format" in shown.stderr


# --- models, pause, sources ----------------------------------------------------------------------


def test_an_empty_registry_says_how_a_model_is_made(tmp_path: Path) -> None:
    shown = rekindle("models", "list", env={"REKINDLE_MODELS": str(tmp_path)})

    assert shown.exit_code == 0
    assert "rekindle train" in shown.output


def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    shown = rekindle("models", "show", "nosuch", env={"REKINDLE_MODELS": str(tmp_path)})

    assert shown.exit_code == 1
    assert "no model nosuch" in shown.stderr


def test_training_on_nothing_is_one_sentence(tmp_path: Path) -> None:
    shown = rekindle("train", "--from", str(tmp_path), env={"REKINDLE_MODELS": str(tmp_path)})

    assert shown.exit_code == 1
    assert len(shown.stderr.splitlines()) == 1


def test_a_topic_that_is_no_source_is_refused() -> None:
    shown = rekindle("sources", "reset", "other", env=NOWHERE)

    assert shown.exit_code == 1
    assert "other is no source; REKINDLE_SOURCES names" in shown.stderr


def test_the_doctor_says_of_each_part_whether_it_is_well() -> None:
    shown = rekindle("doctor", "--json", env=NOWHERE)

    findings = json.loads(shown.stdout)
    assert shown.exit_code == 1
    assert [finding["about"] for finding in findings] == [
        "kafka",
        "topics",
        "products",
        "retention",
        "copies",
        "redis",
        "persistence",
        "memory",
        "clock",
        "campaigns",
        "model",
        "controls",
    ]
    assert not any(finding["ok"] for finding in findings)


def test_shipped_templates_need_a_shops_address() -> None:
    hints = json.loads(rekindle("campaigns", "check", SHIPPED, "--json").output)["notes"]

    assert any(templates.PLACEHOLDER in hint for hint in hints)
