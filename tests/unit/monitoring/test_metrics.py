"""The list of metrics is the one that is scraped and the one that is documented."""

import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from engine.events import Event
from engine.policy import Campaign, Cap, Channel, Policy
from engine.reasons import REASONS
from monitoring import metrics
from monitoring.metrics import Metric
from monitoring.partitions import Partition
from monitoring.recorder import Recorder
from streams.sources.reasons import INVALID

ROOT = Path(__file__).parents[3]
BUDGET = 2_500


def a_crowded_policy(campaigns: int, caps: int) -> Policy:
    return Policy(
        app="shop",
        mode="live",
        currency="CNY",
        timezone="Asia/Shanghai",
        basket=180.0,
        channels={"push": Channel(name="push", cost=0, patience=0.05, deliver_within=1)},
        campaigns={
            f"c{n}": Campaign(
                id=f"c{n}",
                version=1,
                trigger="cart_abandonment",
                channels=("push",),
                template="cart",
                margin=0.3,
                conversion_window=1,
                prior_order_rate=0.1,
                lift={},
            )
            for n in range(campaigns)
        },
        caps=tuple(Cap(name=f"cap{n}", kind="rolling") for n in range(caps)),
    )


def series(recorder: Recorder) -> int:
    return sum(1 for line in recorder.render().splitlines() if not line.startswith(b"#"))


def test_the_reference_page_is_up_to_date() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text()
    assert page == metrics.markdown(), (
        "run: python -m monitoring.metrics > docs/reference/metrics.md"
    )


def test_every_metric_says_one_sentence_and_has_a_unique_name() -> None:
    names = [metric.exposed for metric in metrics.METRICS]
    assert len(set(names)) == len(names)
    for metric in metrics.METRICS:
        assert metric.says.endswith("."), metric.name
        assert metric.exposed.startswith("rekindle_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric.name


def test_the_workers_recorder_exposes_exactly_the_workers_list() -> None:
    recorder = Recorder(["rekindle.events.raw"])
    families = {family.name for family in recorder.registry.collect()}
    ours = {name for name in families if name.startswith(metrics.PREFIX)}
    assert ours == {metric.exposed.removesuffix("_total") for metric in metrics.WORKER}


def test_every_metric_belongs_to_exactly_one_kind_of_process() -> None:
    assert (*metrics.WORKER, *metrics.AUDIT, *metrics.OBSERVER) == metrics.METRICS
    declared = [each for each in vars(metrics).values() if isinstance(each, Metric)]
    assert {each.name for each in declared} == {each.name for each in metrics.METRICS}


def test_every_open_label_says_its_bound() -> None:
    for metric in metrics.METRICS:
        for label in metric.labels:
            assert label.values or label.bound, (metric.name, label.name)


def test_every_event_type_and_every_reason_is_a_label() -> None:
    assert len(metrics.EVENT_TYPES) == len(get_args(Event))
    assert set(REASONS) < set(metrics.values(metrics.DECISIONS, "reason"))


def test_every_reason_of_the_dead_letters_is_a_label() -> None:
    assert set(INVALID) <= set(metrics.INVALID)


def test_no_deployment_exceeds_the_budget_of_series() -> None:
    topics = [f"t{n}" for n in range(20)]
    recorder = Recorder(topics, prefix="rekindle.")
    recorder.in_force(a_crowded_policy(campaigns=200, caps=50), "hash")
    recorder.held_back([(f"campaign:c{n}", by) for n in range(200) for by in metrics.ACTORS], {})
    recorder.arrived([], dict.fromkeys(topics, 1))
    own = ["rekindle.events", *[f"rekindle.actions.{name}" for name in metrics.CHANNELS]]
    recorder.partitions.show(
        [
            Partition(
                topic=topic, partition=n, waiting=1, oldest=1.0, watermark=1, outbox=1, ticked=1
            )
            for topic in [*own, *topics]
            for n in range(64)
        ]
    )
    assert 2_000 < series(recorder) <= BUDGET


def test_promtool_finds_nothing_to_mend() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: apt-get install prometheus")
    recorder = Recorder(["rekindle.events.raw"], version="1", python="3.11")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=recorder.render(), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
