"""`report campaigns` as it is typed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from tests.support.recorded import a_run, live
from tests.support.traffic import traffic

NOWHERE = {"REKINDLE_KAFKA": "127.0.0.1:1", "REKINDLE_REDIS": "redis://127.0.0.1:1/0"}


def reported(*arguments: str) -> Result:
    words = ["report", "campaigns", *arguments]
    return CliRunner().invoke(main, words, env=NOWHERE, prog_name="rekindle")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(a_run(tmp_path_factory.mktemp("run"), traffic(600), live()))


def test_a_recorded_run_is_told(run: str) -> None:
    shown = reported("--from", run)

    assert shown.exit_code == 0, shown.output
    assert "cart: " in shown.stdout
    assert "orders/1,000" in shown.stdout


def test_json_holds_every_figure_by_its_name(run: str) -> None:
    found = json.loads(reported("--from", run, "--json").stdout)

    cart = found["campaigns"]["cart"]
    ends = (cart["sent"], cart["silenced"], cart["ended"])
    assert cart["closed"] == sum(sum(counted.values()) for counted in ends) > 0
    assert {"treated", "withheld", "difference_per_1000", "needed", "left_out"} <= cart.keys()
    assert found["total"]["closed"] >= cart["closed"]


@pytest.mark.parametrize(
    ("since", "code"), [("30d", 0), ("12h", 0), ("2w", 0), ("30", 2), ("-1d", 2)]
)
def test_since_is_a_number_and_its_unit(run: str, since: str, code: int) -> None:
    shown = reported("--from", run, "--since", since)

    assert shown.exit_code == code
    assert (code == 0) != ("such as 30d" in shown.stderr)


def test_what_is_no_run_and_no_broker_is_one_sentence(tmp_path: Path) -> None:
    nothing, nobody = reported("--from", str(tmp_path)), reported()

    assert nothing.exit_code == nobody.exit_code == 1
    assert nothing.stderr.count("\n") == nobody.stderr.count("\n") == 1
    assert "127.0.0.1:1" in nobody.stderr
