"""A new shop: complete, in dry run, with a secret of its own, and never over somebody's files."""

import json
import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rules import campaigns, templates
from streams.cli import main
from streams.settings import SETTINGS, Deployment
from streams.starting.shop import Shop, start
from tests.support import documents

ROOT = Path(__file__).parents[3]
TOKEN = "t" * 43


def rekindle(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="rekindle")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "my-shop"
    start(path, Shop(name="My Shop", currency="EUR", timezone="Europe/Berlin"), TOKEN)
    return path


def test_what_it_makes_passes_the_check(tmp_path: Path) -> None:
    path = tmp_path / "my-shop"

    made = rekindle("init", str(path))
    checked = rekindle(
        "campaigns", "check", str(path / "campaigns.toml"), "--templates", str(path / "templates")
    )

    assert made.exit_code == 0, made.output
    assert checked.exit_code == 0, checked.output
    assert checked.stdout.startswith("ok: 3 campaigns")
    policy = campaigns.load((path / "campaigns.toml").read_bytes(), "campaigns.toml")
    assert policy.app == "my-shop"
    assert policy.mode == "dry_run"


def test_name_currency_and_zone_are_the_shops_and_all_else_is_shipped(folder: Path) -> None:
    text = (folder / "campaigns.toml").read_text()
    policy = campaigns.load(text.encode(), "campaigns.toml")
    shipped = campaigns.load(campaigns.shipped(), "shipped")

    assert (policy.app, policy.currency, policy.timezone) == ("My Shop", "EUR", "Europe/Berlin")
    assert policy.campaigns == shipped.campaigns
    assert policy.caps == shipped.caps
    assert policy.holdout == shipped.holdout
    assert text.count("#") == campaigns.shipped().decode().count("#"), "it keeps its comments"
    assert "my-campaigns" not in text


@pytest.mark.parametrize("name", ["青禾", 'Käse & "Co"', r"back\slash \1", "it's"])
def test_any_name_the_file_allows_survives(tmp_path: Path, name: str) -> None:
    start(tmp_path / "shop", Shop(name=name), TOKEN)

    content = (tmp_path / "shop/campaigns.toml").read_bytes()
    assert campaigns.load(content, "campaigns.toml").app == name


def test_the_words_are_those_that_ship(folder: Path) -> None:
    mine = templates.read(templates.artefact(folder / "templates")).files
    made = {
        path.relative_to(folder / "templates").as_posix() for path in _files(folder / "templates")
    }

    assert mine == templates.read(templates.artefact()).files
    assert made == set(mine)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# --- settings ------------------------------------------------------------------------------------


def _variables(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if re.match(r"[A-Z_]+=", line)]
    return dict(line.split("=", 1) for line in lines)


def test_the_token_is_for_its_owner_alone_and_stands_nowhere_else(folder: Path) -> None:
    secret = folder / ".env"

    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert _variables(secret.read_text()) == {"REKINDLE_OPERATOR_TOKEN": TOKEN}
    assert [path for path in _files(folder) if TOKEN in path.read_text()] == [secret]
    assert ".env" in (folder / ".gitignore").read_text().splitlines()


def test_every_shop_gets_a_token_of_its_own_that_is_not_printed(tmp_path: Path) -> None:
    tokens = []
    for name in ("one", "two"):
        said = rekindle("init", str(tmp_path / name), "--json").output
        tokens.append(_variables((tmp_path / name / ".env").read_text())["REKINDLE_OPERATOR_TOKEN"])
        assert tokens[-1] not in said

    assert tokens[0] != tokens[1]
    assert min(map(len, tokens)) >= 40


def test_the_settings_file_names_settings_that_exist_with_values_they_take(folder: Path) -> None:
    text = (folder / ".env").read_text()
    uncommented = _variables(re.sub(r"^# (?=REKINDLE_)", "", text, flags=re.MULTILINE))

    Deployment.from_env(uncommented)
    named = {setting.variable.removesuffix("_<CHANNEL>") for setting in SETTINGS}
    missing = {name for name in named if not any(key.startswith(name) for key in uncommented)}
    assert missing == {"REKINDLE_EMBEDDED"}


# --- the compose file ----------------------------------------------------------------------------


def _service(text: str, name: str) -> str:
    found = re.search(rf"^  {name}:\n(?:(?:    .*)?\n)+", text, flags=re.MULTILINE)
    assert found, name
    return found[0].rstrip()


@pytest.mark.parametrize("service", ["kafka", "redis", "topics", "worker"])
def test_its_servers_are_those_of_our_own_compose_file(folder: Path, service: str) -> None:
    mine = (folder / "docker-compose.yml").read_text()
    ours = (ROOT / "docker-compose.yml").read_text()

    assert _service(mine, service) == _service(ours, service)


def test_the_compose_file_mounts_what_is_there_and_applies_it(folder: Path) -> None:
    text = (folder / "docker-compose.yml").read_text()
    apply = _service(text, "apply")
    mounts = re.findall(r'"\./([^":]+):([^":]+):ro"', apply)

    assert {target for _, target in mounts} == {"/shop/campaigns.toml", "/shop/templates"}
    assert all((folder / source).exists() for source, _ in mounts)
    assert '"apply", "/shop/campaigns.toml", "--templates", "/shop/templates"' in apply
    assert "env_file: .env" in text
    assert "build:" not in text, "there is nothing here to build from"
    assert "{{" not in text


# --- the read-me ---------------------------------------------------------------------------------


def test_the_commands_of_its_read_me_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = (folder / "README.md").read_text()
    shown = re.findall(r"^(rekindle .*)$", text, flags=re.MULTILINE)

    assert "{{" not in text
    assert len(shown) == 3
    for command in shown[:2]:
        _, words = documents.words(command)
        done = rekindle(*words[1:])
        assert done.exit_code == 0, done.output
    assert shown[2] == "rekindle up --campaigns campaigns.toml &"


# --- refusals ------------------------------------------------------------------------------------


def test_a_folder_that_holds_something_is_left_alone(folder: Path) -> None:
    before = {path: path.read_bytes() for path in _files(folder)}

    again = rekindle("init", str(folder))

    assert again.exit_code == 1
    assert again.stderr.count("\n") == 1
    assert "is not empty, and nothing in it is touched" in again.stderr
    assert {path: path.read_bytes() for path in _files(folder)} == before


def test_an_empty_folder_is_filled_and_a_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()

    assert rekindle("init", str(tmp_path / "empty")).exit_code == 0
    refused = rekindle("init", str(tmp_path / "file"))
    assert refused.exit_code == 1
    assert "is a file: name a folder" in refused.stderr


@pytest.mark.parametrize(
    ("option", "value", "mend"),
    [
        ("--currency", "eur", "three capital letters"),
        ("--timezone", "Mars", "an IANA name"),
        ("--name", "a|b", 'without "|"'),
    ],
)
def test_what_the_file_would_refuse_leaves_nothing_behind(
    tmp_path: Path, option: str, value: str, mend: str
) -> None:
    done = rekindle("init", str(tmp_path / "shop"), option, value)

    assert done.exit_code == 1
    assert mend in done.stderr
    assert not (tmp_path / "shop").exists()


def test_it_speaks_json(tmp_path: Path) -> None:
    done = json.loads(rekindle("init", str(tmp_path / "shop"), "--json").stdout)

    assert set(done["files"]) == {
        path.relative_to(tmp_path / "shop").as_posix() for path in _files(tmp_path / "shop")
    }
