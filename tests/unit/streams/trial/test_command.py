"""`rekindle trial` on the command line."""

import json

from click.testing import CliRunner, Result

from streams.cli import main


def trial(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["trial", *arguments], prog_name="rekindle")


def test_a_small_trial_prints_its_page() -> None:
    result = trial("--worlds", "nothing-works", "--seeds", "1", "--shoppers", "40", "--days", "3")

    assert result.exit_code == 0, result.output
    assert result.output.startswith("Simulated shops")
    assert "nothing-works" in result.output
    assert "send-always" in result.output


def test_its_json_is_one_object() -> None:
    asked = ("--worlds", "default", "--seeds", "1", "--shoppers", "40", "--days", "3", "--json")

    found = json.loads(trial(*asked).stdout)

    assert {row["world"] for row in found["rows"]} == {"default"}


def test_a_world_nobody_knows_is_wrong_use() -> None:
    result = trial("--worlds", "default,narnia")

    assert result.exit_code == 2
    assert "narnia: choose among default" in result.output
