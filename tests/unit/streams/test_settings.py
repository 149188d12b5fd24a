"""Settings: read in one place, refused in sentences, shown without secrets."""

import re
from pathlib import Path

import pytest

from engine.errors import Refused
from streams.settings import (
    SETTINGS,
    ChannelSetting,
    Deployment,
    Gateway,
    Setting,
    Source,
    markdown,
    shown,
)

ROOT = Path(__file__).parents[3]


def test_nothing_set_gives_a_whole_deployment() -> None:
    deployment = Deployment.from_env({}, "box")

    assert deployment.kafka == "127.0.0.1:9092"
    assert deployment.sources == (Source("rekindle.events.raw", "segment"),)
    assert deployment.worker_id == "box-6066"
    assert (deployment.http_host, deployment.http_port) == ("127.0.0.1", 6066)
    assert deployment.tick_spacing == 100
    assert deployment.gateway("push") == Gateway("console")
    assert deployment.webhook_secret("push") is None


def test_every_setting_can_be_written() -> None:
    deployment = Deployment.from_env(
        {
            "REKINDLE_KAFKA": "a:9092, b:9092",
            "REKINDLE_REDIS": "unix:///run/redis.sock",
            "REKINDLE_TOPIC_PREFIX": "t1.",
            "REKINDLE_SOURCES": "shop.web, shop.app:segment",
            "REKINDLE_WORKER_ID": "w-1",
            "REKINDLE_MODELS": "/models",
            "REKINDLE_HTTP": "[::1]:80",
            "REKINDLE_CLOCK": "source",
            "REKINDLE_TICK_SPACING": "0.5s",
            "REKINDLE_FETCH_LINGER": "20ms",
            "REKINDLE_FETCH_WAIT": "5ms",
            "REKINDLE_EMBEDDED": "yes",
            "REKINDLE_OLDEST_BACKUP": "36h",
            "REKINDLE_OPERATOR_TOKEN": "s3cret",
            "REKINDLE_GATEWAY_PUSH": "webhook:https://push.example/send",
            "REKINDLE_GATEWAY_WECHAT_WORK": "jsonl:/var/out.jsonl",
            "REKINDLE_WEBHOOK_SECRET_PUSH": "0123456789abcdef",
        }
    )

    assert deployment.kafka == "a:9092,b:9092"
    assert deployment.sources == (Source("shop.web", "segment"), Source("shop.app", "segment"))
    assert (deployment.http_host, deployment.http_port) == ("::1", 80)
    assert (deployment.tick_spacing, deployment.fetch_linger, deployment.fetch_wait) == (500, 20, 5)
    assert deployment.embedded
    assert deployment.oldest_backup == 36 * 3_600_000
    assert deployment.gateway("push") == Gateway("webhook", "https://push.example/send")
    assert deployment.gateway("wechat_work") == Gateway("jsonl", "/var/out.jsonl")
    assert deployment.webhook_secret("push") == "0123456789abcdef"


def test_the_default_source_follows_the_prefix() -> None:
    deployment = Deployment.from_env({"REKINDLE_TOPIC_PREFIX": "t1."})

    assert deployment.sources == (Source("t1.events.raw", "segment"),)


def test_an_empty_value_counts_as_not_set() -> None:
    assert Deployment.from_env({"REKINDLE_KAFKA": " "}).kafka == "127.0.0.1:9092"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA", "broker"),
        ("KAFKA", "broker:99999"),
        ("REDIS", "localhost:6379"),
        ("TOPIC_PREFIX", "a b"),
        ("SOURCES", "shop:avro"),
        ("SOURCES", "shop,shop"),
        ("SOURCES", ":segment"),
        ("HTTP", "6066"),
        ("CLOCK", "wall"),
        ("TICK_SPACING", "200"),
        ("TICK_SPACING", "1ms"),
        ("FETCH_LINGER", "1h"),
        ("FETCH_WAIT", "0ms"),
        ("EMBEDDED", "true"),
        ("GATEWAY_PUSH", "smoke"),
        ("GATEWAY_PUSH", "webhook:ftp://x"),
        ("GATEWAY_PUSH", "console:x"),
        ("WEBHOOK_SECRET_SMS", "short"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_it(name: str, value: str) -> None:
    with pytest.raises(Refused) as refused:
        Deployment.from_env({f"REKINDLE_{name}": value})

    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.startswith(f"REKINDLE_{name}")
    assert sentence.endswith(".")


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(Refused) as refused:
        Deployment.from_env({"REKINDLE_CLOCK": "wall", "REKINDLE_HTTP": "x", "REKINDLE_FOO": "1"})

    assert len(str(refused.value).splitlines()) == 3


def test_an_unknown_name_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(Refused, match=r"REKINDLE_KAFA is no setting: did you mean REKINDLE_KAFKA"):
        Deployment.from_env({"REKINDLE_KAFA": "x:1"})


def test_settle_is_told_where_it_lives() -> None:
    with pytest.raises(Refused, match="campaigns file"):
        Deployment.from_env({"REKINDLE_SETTLE": "2m"})


def test_names_of_the_tests_and_of_others_are_left_alone() -> None:
    Deployment.from_env({"REKINDLE_TEST_KAFKA": "x", "PATH": "/bin", "KAFKA": "nonsense"})


def test_a_wrong_secret_is_not_repeated() -> None:
    with pytest.raises(Refused) as refused:
        Deployment.from_env(
            {"REKINDLE_WEBHOOK_SECRET_PUSH": "tiny", "REKINDLE_REDIS": "http://u:pass@h/0"}
        )

    assert "tiny" not in str(refused.value)
    assert "pass@" not in str(refused.value)


def test_secrets_are_never_shown() -> None:
    environ = {
        "REKINDLE_OPERATOR_TOKEN": "s3cret",
        "REKINDLE_WEBHOOK_SECRET_PUSH": "0123456789abcdef",
        "REKINDLE_REDIS": "redis://user:pa55@host:6379/0",
    }

    text = " ".join(f"{row.name} {row.value}" for row in shown(environ))

    assert "s3cret" not in text
    assert "0123456789abcdef" not in text
    assert "pa55" not in text
    assert "REKINDLE_OPERATOR_TOKEN set" in text
    assert "redis://user:***@host:6379/0" in text
    assert "pa55" not in repr(Deployment.from_env(environ))
    assert "s3cret" not in repr(Deployment.from_env(environ))


def test_every_field_of_a_deployment_is_one_row_of_the_table() -> None:
    fields = [setting.field for setting in SETTINGS]

    assert sorted(fields) == sorted(Deployment.__struct_fields__)
    assert all(isinstance(setting, Setting | ChannelSetting) for setting in SETTINGS)


def test_the_reference_page_is_the_table() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text("utf-8")

    assert page == markdown(), "write it anew: rekindle settings --markdown"


@pytest.mark.parametrize(
    "url", ["redis+cluster://a:1,b:2", "rediss+cluster://me:secret@a:1", "redis+cluster://[::1]:7/"]
)
def test_a_cluster_is_named_by_its_nodes(url: str) -> None:
    deployment = Deployment.from_env({"REKINDLE_REDIS": url})

    assert deployment.redis == url
    assert "secret" not in repr(deployment)


@pytest.mark.parametrize(
    ("url", "mend"),
    [
        ("redis://a:1,b:2", "several nodes are a cluster: write redis+cluster://"),
        ("redis+cluster://a:1,b", "write host:port"),
        ("redis+cluster://a", "write host:port"),
        ("cluster://a:1", "redis+cluster://host:port,host:port for a cluster"),
    ],
)
def test_what_is_no_cluster_is_refused_with_how_to_write_it(url: str, mend: str) -> None:
    with pytest.raises(Refused, match=re.escape(mend)):
        Deployment.from_env({"REKINDLE_REDIS": url})
