"""Every panel shows something, asked of a Prometheus that scrapes a busy shop."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from monitoring.dashboards import DASHBOARDS
from monitoring.dashboards.panels import Panel, Query
from tests.support.promql import filled
from tests.support.set_up import ABSENT, SERVICES, SetUp

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

ROOT = Path(__file__).parents[2]
_BUSY = 20.0
_DEADLINE = 180.0
# What shows nothing while all is well, or needs more than a minute of a shop: panel -> why.
QUIET = {
    "Open anomalies": "nothing is unlike itself within a minute",
    "Open": "nothing is unlike itself within a minute",
    "Seen and expected": "a figure is expected once 150 windows were seen",
    "Score": "a figure is scored once 150 windows were seen",
    "Trained": "no model is in force",
    "Lift, 7 days": "both groups need somebody who was spoken to",
    "Predicted over observed, 7 days": "no prediction has matured within a minute",
    "Drift of features": "the baseline takes a week",
    "Refused and unwelcome, of accepted, 1 h": "nobody has complained yet",
    "Verdicts on anomalies, 7 days": "nobody has judged one",
    "Cost of getting people here, last day": "no cost is configured",
}


@pytest.fixture(scope="module")
def set_up() -> Iterator[SetUp]:
    with SetUp(interval="10s") as running:
        running.catalogue()
        running.traffic(_BUSY)
        yield running


def test_every_service_of_the_compose_file_has_its_like_here() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert set(compose["services"]) == set(SERVICES) | ABSENT


def test_every_expression_returns_data(set_up: SetUp) -> None:
    asked = [
        (panel, query)
        for board in DASHBOARDS
        for panel in board.panels
        for query in panel.queries
        if panel.title not in QUIET
    ]
    end = time.monotonic() + _DEADLINE
    while asked and time.monotonic() < end:
        asked = [(panel, query) for panel, query in asked if not _shown(set_up, query)]
        if asked:
            set_up.traffic(3.0)
    assert not asked, "\n".join(_said(panel, query) for panel, query in asked)


def _shown(set_up: SetUp, query: Query) -> bool:
    return bool(set_up.prometheus.query(filled(query.expr)))


def _said(panel: Panel, query: Query) -> str:
    return f"{panel.title}: {query.expr}"
