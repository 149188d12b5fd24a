"""The compose files are ones, name what is there, and everything that runs on is looked after."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from streams.cli import main
from streams.settings import SETTINGS
from tests.support.alerts import PROMETHEUS, durations

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "tests/support/schemas/compose-spec.json"
FILES = [ROOT / "docker-compose.yml", ROOT / "streams/starting/files/docker-compose.yml"]
# They do their work once and end.
ONCE = {"topics", "apply"}
# Images without a shell, an HTTP client or a port of their own to ask.
UNASKED = {"targets", "redis-exporter"}


def _read(path: Path) -> dict[str, Any]:
    text = re.sub(r"\{\{[a-z]+\}\}", "filled", path.read_text("utf-8"))
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def _ours(service: dict[str, Any]) -> bool:
    return "REKINDLE_KAFKA" in service.get("environment", {})


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(ROOT)))
def file(request: pytest.FixtureRequest) -> dict[str, Any]:
    return _read(request.param)


def test_it_is_a_compose_file(file: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft201909Validator(schema).validate(file)


@pytest.mark.parametrize(
    "broken",
    [{"services": {"worker": {"imag": "x"}}}, {"services": {"worker": {"ports": [{"to": 1}]}}}],
)
def test_the_schema_refuses_what_is_none(broken: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft201909Validator(schema).validate(broken)


def test_what_it_waits_for_is_there_and_says_when_it_is_well(file: dict[str, Any]) -> None:
    services = file["services"]
    for name, service in services.items():
        asked = service.get("depends_on", {})
        conditions = asked if isinstance(asked, dict) else {key: {} for key in asked}
        for other, condition in conditions.items():
            assert other in services, f"{name} waits for {other}"
            if condition.get("condition") == "service_healthy":
                assert "healthcheck" in services[other], f"{other} never says that it is well"


def test_whatever_runs_on_is_asked_bounded_and_started_again(file: dict[str, Any]) -> None:
    for name, service in file["services"].items():
        if name in ONCE:
            assert service["restart"] == "no"
            continue
        assert service["restart"] == "unless-stopped", name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["logging"]["options"]["max-size"], name
        assert name in UNASKED or "healthcheck" in service, name


def test_every_volume_is_declared_and_every_mounted_file_exists(file: dict[str, Any]) -> None:
    used = set()
    for service in file["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if not source.startswith("."):
                used.add(source)
            elif "ops" in source:
                assert (ROOT / source).exists(), source
    assert used == set(file["volumes"])


def test_our_commands_and_settings_exist(file: dict[str, Any]) -> None:
    known = {setting.variable for setting in SETTINGS}
    for name, service in file["services"].items():
        if _ours(service):
            assert service["command"][0] in main.list_commands(None), name  # type: ignore[arg-type] # no context needed
            assert set(service["environment"]) <= known, name


def test_nothing_listens_to_the_world(file: dict[str, Any]) -> None:
    for name, service in file["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_a_redis_that_hangs_is_told_of_before_the_scrape_gives_up() -> None:
    exporter = _read(FILES[0])["services"]["redis-exporter"]["environment"]
    waits = durations(exporter["REDIS_EXPORTER_CONNECTION_TIMEOUT"])
    scrape = yaml.safe_load(PROMETHEUS.read_text("utf-8"))["global"]["scrape_timeout"]
    assert 0 < waits < durations(scrape)
