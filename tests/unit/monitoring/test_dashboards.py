"""The dashboards ask one question a panel, of metrics that exist, in expressions that parse."""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from monitoring import metrics
from monitoring.dashboards import DASHBOARDS
from monitoring.dashboards.__main__ import FOLDER, files
from monitoring.dashboards.panels import Dashboard, Panel
from tests.support.promql import filled, metrics_of

ROOT = Path(__file__).parents[3]
RULES = ROOT / "ops/prometheus/rules"
# What is served by others: redis_exporter, Prometheus itself, and the client library.
FOREIGN = ("redis_", "process_", "up", "ALERTS")


@cache
def recorded() -> set[str]:
    rules = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(RULES.glob("*.yml"))]
    groups = [group for file in rules for group in file["groups"]]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def panels() -> list[Any]:
    return [
        pytest.param(panel, id=f"{board.uid}-{panel.title}")
        for board in DASHBOARDS
        for panel in board.panels
    ]


def test_the_files_are_what_the_code_says() -> None:
    there = {path.name: path.read_text("utf-8") for path in (ROOT / FOLDER).glob("*.json")}
    assert there == files(), "run python -m monitoring.dashboards"


def test_there_are_eight_and_each_is_known_by_one_name() -> None:
    assert len(DASHBOARDS) == 8
    assert max(Counter(board.uid for board in DASHBOARDS).values()) == 1
    assert max(Counter(board.title for board in DASHBOARDS).values()) == 1


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.uid)
def test_a_dashboard_is_placed_without_gap_or_overlap(board: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board.as_json()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, f"{panel['title']} lies upon another"
        taken |= cells
    assert len({panel["id"] for panel in board.as_json()["panels"]}) == len(
        board.as_json()["panels"]
    )


@pytest.mark.parametrize("panel", panels())
def test_a_panel_asks_a_question_and_knows_its_unit(panel: Panel) -> None:
    assert "?" in panel.asks
    assert panel.unit
    assert panel.queries


@pytest.mark.parametrize("panel", panels())
def test_an_expression_parses_and_asks_for_what_exists(panel: Panel) -> None:
    known = {end for metric in metrics.METRICS for end in _ends(metric)} | recorded()
    for query in panel.queries:
        expr = filled(query.expr)
        promql_parser.parse(expr)
        for name in metrics_of(expr):
            assert name in known or name.startswith(FOREIGN), f"there is no {name}"


def _ends(metric: metrics.Metric) -> set[str]:
    match metric.kind:
        case "histogram":
            return {f"{metric.exposed}_{end}" for end in ("bucket", "sum", "count")}
        case "info":
            return {f"{metric.exposed}_info"}
        case _:
            return {metric.exposed}


def test_every_family_is_shown_or_alarmed_somewhere() -> None:
    """A figure nobody reads is a cost without use; those known to be for the page are named."""
    said = " ".join(files().values())
    said += " ".join(path.read_text("utf-8") for path in RULES.glob("*.yml"))
    unread = {m.exposed for m in metrics.METRICS if m.exposed not in said}
    assert unread <= {
        "rekindle_audit_pauses_total",
        "rekindle_intake_mended_total",
        "rekindle_intake_watermark_timestamp_seconds",
        "rekindle_labels_folded_total",
        "rekindle_ticks_total",
    }, unread


def test_alerts_link_to_dashboards_that_are_there() -> None:
    there = {board.uid for board in DASHBOARDS}
    for path in RULES.glob("*.yml"):
        linked = set(re.findall(r"/d/([a-z-]+)", path.read_text("utf-8")))
        assert linked <= there, f"{path.name}: {linked - there}"


def test_the_data_source_is_a_choice_and_nothing_is_edited_in_the_browser() -> None:
    for text in files().values():
        board = json.loads(text)
        assert board["editable"] is False
        sources = {json.dumps(found) for found in _sources(board)}
        assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}


def _sources(node: Any) -> list[Any]:
    if isinstance(node, dict):
        own = [node["datasource"]] if "datasource" in node else []
        return own + [found for value in node.values() for found in _sources(value)]
    if isinstance(node, list):
        return [found for value in node for found in _sources(value)]
    return []
