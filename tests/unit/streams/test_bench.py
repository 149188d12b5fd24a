"""The bench: its mix, its medians, the parts of a cost, what it refuses and what it promises."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from engine.errors import Refused
from engine.times import MINUTE
from models.manifest import unpack
from models.scorer import ModelScorer, build
from rules import campaigns
from rules.zones import ZONES
from streams import cli
from streams.bench import ground, memory, parts, past, plan, stretch, telling, whole_job
from streams.bench.hop import Case, Measured
from streams.bench.mix import messages, user_of
from streams.bench.stretch import Stretch
from streams.settings import Deployment
from streams.state.keys import keys_of
from tests.support.redis_server import RedisServer

COUNT = 20_000


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    sent = messages(COUNT, 100_000, start=0, gap=24, seed="test")
    return [json.loads(message.value) for message in sent]


@pytest.fixture(scope="module")
def lived() -> past.Past:
    return past.live(120)


# --- the mix ------------------------------------------------------------------------------------


def test_the_mix_has_the_shares_it_states(told: list[dict[str, Any]]) -> None:
    kinds = Counter(message.get("event", message["type"]) for message in told)
    others = COUNT - sum(kinds[n] for n in ("Product Viewed", "Product Added", "Order Completed"))

    # four standard errors of a share of 20,000
    assert kinds["Product Viewed"] / COUNT == pytest.approx(0.70, abs=0.013)
    assert kinds["Product Added"] / COUNT == pytest.approx(0.15, abs=0.010)
    assert kinds["Order Completed"] / COUNT == pytest.approx(0.03, abs=0.005)
    assert others / COUNT == pytest.approx(0.12, abs=0.010)


def test_one_message_in_a_hundred_is_sent_again_word_for_word() -> None:
    sent = list(messages(COUNT, 100_000, start=0, gap=24, seed="test"))
    by_id: dict[str, set[bytes]] = {}
    for message in sent:
        by_id.setdefault(json.loads(message.value)["messageId"], set()).add(message.value)

    assert 1 - len(by_id) / COUNT == pytest.approx(0.01, abs=0.003)
    assert all(len(values) == 1 for values in by_id.values())


def test_a_message_has_about_350_bytes() -> None:
    sizes = [len(message.value) for message in messages(5_000, 100_000, start=0, gap=24, seed="s")]

    assert sum(sizes) / len(sizes) == pytest.approx(350, abs=10)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    def first(seed: str) -> list[bytes]:
        return [message.value for message in messages(50, 1_000, start=7, gap=1, seed=seed)]

    assert first("a") == first("a")
    assert first("a") != first("b")


def test_a_tenth_of_the_users_sends_two_thirds_and_nobody_a_share_of_a_shop() -> None:
    users = 100_000
    busy = Counter(user_of(number / COUNT, users) for number in range(COUNT))
    tenth = sum(count for user, count in busy.items() if int(user[1:]) < users / 10)

    assert tenth / COUNT == pytest.approx(0.67, abs=0.01)
    assert sum(busy[f"u{number}"] for number in range(10)) / COUNT < 0.02
    assert user_of(0.0, users) == "u0"
    assert user_of(1 - 1e-12, users) == "u99999"


# --- the past -----------------------------------------------------------------------------------


def test_the_people_of_the_past_have_lived_and_their_model_is_accepted(lived: past.Past) -> None:
    assert len(lived.lives) > 100
    assert any(life.wake for life in lived.lives)
    assert any(life.addresses for life in lived.lives)
    assert unpack(lived.model).manifest.rounds >= 80
    assert isinstance(build(lived.model, allow_simulated=True, local=ZONES), ModelScorer)
    assert campaigns.load(past.campaigns_file(), "the bench's").allow_simulated_model
    with pytest.raises(Refused, match="simulated shop"):
        build(lived.model, allow_simulated=False, local=ZONES)


def test_nobody_of_the_past_is_due_before_the_bench_begins(lived: past.Past) -> None:
    wakes = [life.wake for life in lived.lives if life.wake]

    assert min(wakes) > past.NOW - MINUTE


def test_everybody_in_redis_has_a_profile_and_its_bytes_are_told(lived: past.Past) -> None:
    with RedisServer(tcp=True) as server, redis.Redis.from_url(server.url) as client:
        before = memory.used(client)
        past.settle(client, lived, 3_000, 4)
        sizes = memory.per_user(client, 3_000, 4, memory.used(client) - before)

        held = sum(1 for _ in client.scan_iter("rk:*:u:*", count=1000))
        asleep = sum(int(client.zcard(keys_of(p).wakes)) for p in range(4))
    assert held == 3_000
    assert asleep > 0
    assert sizes["packed_median"] < sizes["profile_median"] < sizes["all_in_median"]
    # Two ways to measure one thing; buffers of the server are in one of them.
    assert sizes["all_in_by_used_memory"] == pytest.approx(sizes["all_in"], rel=0.5)


# --- figures ------------------------------------------------------------------------------------


def test_a_stretch_tells_rates_and_costs_that_belong_together() -> None:
    told = Stretch(records=1_000, seconds=2.0, worker_cpu=0.03, redis_cpu=0.01).as_json()

    assert told["events_per_second"] == 500
    assert told["events_per_cpu_second"] == 25_000
    assert told["worker_us_per_event"] + told["redis_us_per_event"] == told["us_per_event"] == 40.0


def test_the_middle_of_runs_is_their_median_and_says_how_far_they_lie_apart() -> None:
    runs = [Stretch(1_000, 1.0, cpu, 0.0) for cpu in (0.09, 0.02, 0.03)]

    told = stretch.middle(runs)

    assert told["us_per_event"] == 30.0
    assert (told["us_least"], told["us_most"], told["runs"]) == (20.0, 90.0, 3)


def test_two_hops_are_added_up_as_all_their_records_would_have_cost() -> None:
    intake = Stretch(records=500, seconds=1.0, worker_cpu=0.01, redis_cpu=0.0)
    decide = Stretch(records=600, seconds=3.0, worker_cpu=0.06, redis_cpu=0.006)

    whole = stretch.one_way([(intake, 1_000), (decide, 1_200)], 1_000)

    assert whole.records == 1_000
    assert whole.seconds == pytest.approx(8.0)
    assert whole.micros == pytest.approx((0.02 + 0.12 + 0.012) / 1_000 * 1e6)


# --- parts --------------------------------------------------------------------------------------


def test_the_parts_add_up_to_the_whole() -> None:
    samples = {"fold": 300, "commit": 500, "event loop": 199, "other": 1}

    shared = parts.per_event(samples, 80.0)

    assert sum(shared.values()) == pytest.approx(80.0, abs=0.05)
    assert shared["commit"] == pytest.approx(40.0)
    assert list(shared) == ["fold", "commit", "event loop", "other"]


def test_the_innermost_function_that_is_named_decides() -> None:
    assert parts.named("/x/streams/log/codec.py", "read_at") == "decode"
    assert parts.named("/x/engine/pipeline.py", "Step.load") == "load"
    assert parts.named("/x/engine/pipeline.py", "Step.tick") == "decide"
    assert parts.named("/x/models/features.py", "vector") == "features + score"
    assert parts.named("/x/site-packages/liquid/ast.py", "Node.render") is None


def test_every_place_of_the_parts_is_there() -> None:
    root = Path(parts.__file__).parents[2]
    ours = [
        (place, name)
        for place, name in parts.places()
        if place.split("/")[0] in {"engine", "rules", "models", "streams", "monitoring"}
    ]

    for place, name in ours:
        found = root / place
        assert found.exists(), place
        if name and found.is_file():
            last = name.rstrip(".").rpartition(".")[2]
            text = found.read_text("utf-8")
            assert f"def {last}" in text or f"class {last}" in text, (place, name)


# --- what it refuses, what it promises ----------------------------------------------------------


def _deployment(url: str, prefix: str = "rekindle-bench-test.") -> Deployment:
    return Deployment.from_env({"REKINDLE_REDIS": url, "REKINDLE_TOPIC_PREFIX": prefix})


def test_a_redis_that_holds_anything_is_refused_and_keeps_what_it_holds() -> None:
    with RedisServer(tcp=True) as server, redis.Redis.from_url(server.url) as client:
        client.set("rk:{0}:m", "a real shop")

        with pytest.raises(Refused, match="holds 1 keys already: name an empty database"):
            ground.check(_deployment(server.url))
        with (
            pytest.raises(Refused),
            ground.standing(_deployment(server.url), past.campaigns_file()),
        ):
            pytest.fail("it stands on a real shop")

        assert client.get("rk:{0}:m") == b"a real shop"


def test_only_what_stands_under_its_own_mark_is_taken_away() -> None:
    with RedisServer(tcp=True) as server, redis.Redis.from_url(server.url) as client:
        client.mset({"rk:bench": "rekindle-bench-other.", "rk:{0}:m": "x", "mine": "y"})
        ground.forget(_deployment(server.url))
        assert client.dbsize() == 3

        client.set("rk:bench", "rekindle-bench-test.")
        ground.forget(_deployment(server.url))
        assert client.keys("*") == [b"mine"]


def test_a_redis_that_is_away_is_a_sentence() -> None:
    with pytest.raises(Refused, match="name a running one in REKINDLE_REDIS"):
        ground.check(_deployment("redis://127.0.0.1:1/0"))


def test_without_a_part_the_promised_names_are_there_and_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RedisServer(tcp=True) as server:
        monkeypatch.setenv("REKINDLE_REDIS", server.url)
        monkeypatch.setattr(plan, "PARTS", ())
        shown = CliRunner().invoke(cli.main, ["bench", "--json", "--quick"])

    found = json.loads(shown.stdout)
    wanted = {"whole_job", "ratio", "latency_ms", "lateness_ms", "bytes_per_user"}
    assert wanted <= found.keys()
    assert {found[name] for name in wanted} == {None}
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["redis"]


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--only", "hole", "hole: choose among whole, growth"),
        ("--soak", "ten", "ten: write a number with its unit"),
        ("--soak", "0m", "0m: it must last longer"),
        ("--runs", "0", "0 is not in the range"),
    ],
)
def test_a_wrong_option_says_what_is_right(option: str, value: str, sentence: str) -> None:
    shown = CliRunner().invoke(cli.main, ["bench", option, value])

    assert shown.exit_code == 2
    assert sentence in shown.stderr


def test_a_quick_bench_is_one_run_and_a_whole_one_at_least_three() -> None:
    whole = plan.of(quick=False, runs=None, events=None, soak=None)
    quick = plan.of(quick=True, runs=None, events=None, soak=None)

    assert (quick.runs, whole.runs) == (1, 3)
    assert whole.reference == Case(whole.events, 100_000)
    assert {case.workers for case in whole.cases} == {1, 2}
    assert {case.partitions for case in whole.cases} == {8, 64}
    assert {case.users for case in whole.cases} == {100_000, 1_000_000}
    assert [case.users for case in whole.growing] == [10_000, 100_000, 1_000_000]


def test_tables_are_told_once_for_people_and_once_for_a_page() -> None:
    table = telling.Table("What", ("part", "µs"), [("fold", "1.0")], "A note.")

    page = telling.as_markdown([table])

    assert "### What" in page
    assert "| part | µs |\n|---|---:|\n| fold | 1.0 |" in page
    assert page.rstrip().endswith("A note.")


def test_a_case_that_was_measured_is_told_whole() -> None:
    due = Stretch(100, 1.0, 0.02, 0.0)
    run = Measured(Stretch(900, 1.0, 0.03, 0.01), [], {"fold": 9}, 0.001, 1_000, due)
    found = whole_job.Found([run], [run], [Stretch(1_000, 2.0, 0.06, 0.02)], {"all_in": 600.0})

    told = found.as_json(Case(1_000, 500))

    assert told["whole_job"]["us_per_event"] == 80.0
    assert told["whole_job"]["events_per_cpu_second"] == 12_500
    assert told["decisions"]["us_per_event"] == 200.0
    assert told["bytes_per_user"] == {"all_in": 600.0}
