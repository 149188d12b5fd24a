"""What a process says of itself: series as scraped, without zeros, and read back the same."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.summary import Summary, decode, encode, samples_of, scraped, taken_apart

names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)


@given(name=names, labels=st.dictionaries(names, st.text(max_size=12), max_size=4))
@example(name="_", labels={"_": "\n\x00"})
def test_a_series_is_taken_apart_as_it_was_written(name: str, labels: dict[str, str]) -> None:
    assert taken_apart(scraped(name, labels)) == (name, tuple(labels.items()))


@given(value=st.text(max_size=20))
def test_it_is_written_as_prometheus_writes_it(value: str) -> None:
    registry = CollectorRegistry()
    Gauge("found", "a gauge", ["at"], registry=registry).labels(value).set(3)

    (line,) = [
        each
        for each in generate_latest(registry).decode().split("\n")
        if each and not each.startswith("#")
    ]

    assert scraped("found", {"at": value}) == line.rsplit(" ", 1)[0]


@pytest.mark.parametrize("broken", ['a{b="c', 'a{b=c"}', "a{b", 'a{"}'])
def test_what_is_no_series_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="is no series"):
        taken_apart(broken)


def test_a_summary_holds_what_a_scrape_shows_without_what_is_zero() -> None:
    registry = CollectorRegistry()
    counted = Counter("counted", "a counter", ["kind"], registry=registry)
    counted.labels("a").inc(2)
    counted.labels("never")
    times = Histogram("times", "a histogram", registry=registry, buckets=(1, 5))
    times.observe(3)
    scrape = {
        scraped(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if sample.value and not sample.name.endswith("_created")
    }

    found = {key: v for key, v in samples_of(registry).items() if "_created" not in key}

    assert found == scrape
    assert found['counted_total{kind="a"}'] == 2
    assert found['times_bucket{le="5.0"}'] == 1
    assert 'times_bucket{le="1.0"}' not in found
    assert 'counted_total{kind="never"}' not in found


def test_a_summary_is_read_back_as_it_was_written() -> None:
    summary = Summary(
        kind="observe",
        name="o",
        at=5,
        started_at=1,
        version="1",
        http="127.0.0.1:1",
        samples={"a": 1.5},
        findings=["All is well."],
        facts={"episodes": [{"kpi": "events", "score": 4.2}]},
    )

    assert decode(encode(summary)) == summary


@pytest.mark.parametrize("content", [b"", b"[]", b'{"kind": "spy"}', b"\xff"])
def test_what_is_no_summary_is_a_value_error(content: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(content)
