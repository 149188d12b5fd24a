"""The report of a live deployment: the topics as they stand say what a recorded run says."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli import main
from streams.log.topics import ARTEFACTS, DECISIONS, EVENTS
from streams.replay.copying import copy_aside
from streams.settings import Deployment
from tests.support.agreement import wait_folded
from tests.support.running import Shop, shipped
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

HALF_WITHHELD = {"[holdout]\nshare = 0.05": "[holdout]\nshare = 0.5"}


def reported(deployment: Deployment, *arguments: str) -> str:
    env = {
        "REKINDLE_KAFKA": deployment.kafka,
        "REKINDLE_REDIS": deployment.redis,
        "REKINDLE_TOPIC_PREFIX": deployment.topic_prefix,
    }
    words = ["report", "campaigns", *arguments]
    done = CliRunner().invoke(main, words, env=env, prog_name="rekindle")
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_topics_are_reported_as_the_run_recorded_from_them(shop: Shop, tmp_path: Path) -> None:
    shop.apply(shipped(replace=HALF_WITHHELD))
    with shop.worker("decide"):
        shop.load(list(traffic(1_500, users=100)))
        wait_folded(shop)

    live = reported(shop.deployment, "--json")

    found = json.loads(live)["campaigns"]["cart"]
    assert sum(found["sent"].values()) > 10
    assert found["silenced"]["would_send_holdout"] > 10
    both = sum(found["sent"].values()) + found["silenced"]["would_send_holdout"]
    assert found["open_windows"] == both, "a window of a day is not over after eight hours"
    topics = DECISIONS, EVENTS, ARTEFACTS
    asyncio.run(copy_aside(shop.deployment, tmp_path / "run", topics))
    assert reported(shop.deployment, "--from", str(tmp_path / "run"), "--json") == live
    assert "nothing can be said yet" in reported(shop.deployment)
