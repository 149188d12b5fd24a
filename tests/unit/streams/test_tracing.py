"""Who is in which trace: drawn from ids alone, the same for all agents; nothing while it is off."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from engine import actions, decisions
from engine import events as ev
from engine.errors import Refused
from engine.ports import Outgoing
from streams.log.outbox import record
from streams.settings import Deployment
from streams.spans import Sender
from streams.tracing import Link, Span, Tracing, link_of
from streams.worker import tracing_of
from tests.support.world import World

ROOT = Path(__file__).parents[3]
LINKS = st.builds(Link, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))


class Clock:
    """Nanoseconds; each look is one later."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


def a_tracing(share: float = 1.0, prefix: str = "rekindle.") -> tuple[Tracing, list[Span]]:
    spans: list[Span] = []
    return Tracing(spans.append, share, prefix, Clock()), spans


def viewed(event_id: str) -> ev.ProductViewed:
    return ev.ProductViewed(
        event_id=event_id, user_id="user-4711", occurred_at=1, received_at=2, product_id="p"
    )


@pytest.fixture(scope="module")
def reminded() -> tuple[ev.Event, Outgoing, Outgoing]:
    """A cart, and the decision and the action that came of it an hour later."""
    world = World()
    world.person()
    added = world.told().added("p-1", cart="c-1")
    world.event(added)
    world.wait("1h")
    decided, acted = world.lanes[0].out[-2:]
    return added, decided, acted


def test_intake_decide_and_deliver_agree_by_ids_alone(
    reminded: tuple[ev.Event, Outgoing, Outgoing],
) -> None:
    event, decided, acted = reminded
    assert not isinstance(event, ev.Tick)
    intake, _ = a_tracing()
    decide, _ = a_tracing()
    taken = intake.of_event(event)
    made = decide.of_decision(decisions.decode(decided.value))
    assert taken is not None
    assert made is not None
    assert made.trace == taken.trace
    assert made.span != taken.span
    assert decide.of_action(actions.decode(acted.value)) == made


def test_the_action_carries_the_trace_in_a_header_and_its_bytes_stay_the_same(
    reminded: tuple[ev.Event, Outgoing, Outgoing],
) -> None:
    _, decided, acted = reminded
    tracing, _ = a_tracing()
    plain, traced = record(acted, "rekindle."), record(acted, "rekindle.", tracing)
    assert traced.value == plain.value
    assert traced.key == plain.key
    link = tracing.of_action(actions.decode(acted.value))
    assert link is not None
    assert list(traced.headers) == [*plain.headers, link.header]
    assert link_of(traced.headers) == link
    assert record(decided, "rekindle.", tracing) == record(decided, "rekindle.")
    unsampled, _ = a_tracing(share=0.0)
    assert record(acted, "rekindle.", unsampled) == plain


def test_written_once_more_after_a_crash_it_carries_the_same_header(
    reminded: tuple[ev.Event, Outgoing, Outgoing],
) -> None:
    _, _, acted = reminded
    assert record(acted, "x.", a_tracing()[0]) == record(acted, "x.", a_tracing()[0])


@given(LINKS)
def test_a_header_reads_back_as_it_was_written(link: Link) -> None:
    name, value = link.header
    assert name == "traceparent"
    assert len(value) == 55
    assert link_of([("v", b"1"), link.header]) == link


@given(st.binary(max_size=80))
def test_a_header_of_somebody_else_is_no_trace_and_no_error(value: bytes) -> None:
    found = link_of([("traceparent", value)])
    assert found is None or isinstance(found, Link)


@pytest.mark.parametrize(
    "value", [b"", b"00-zz-zz-01", b"00-1-2", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-00"]
)
def test_what_is_not_sampled_is_not_traced(value: bytes) -> None:
    assert link_of([("traceparent", value)]) is None


def test_the_share_is_kept_and_a_larger_one_holds_the_smaller() -> None:
    ids = [f"event-{n}" for n in range(20_000)]
    drawn = {}
    for share in (0.0, 0.05, 0.2, 1.0):
        tracing, _ = a_tracing(share)
        drawn[share] = {name for name in ids if tracing.of_event(viewed(name)) is not None}
    assert drawn[0.0] == set()
    assert drawn[1.0] == set(ids)
    assert drawn[0.05] < drawn[0.2]
    # six standard deviations of a binomial
    assert abs(len(drawn[0.05]) - 1_000) < 6 * 31
    assert abs(len(drawn[0.2]) - 4_000) < 6 * 57


def test_two_deployments_draw_other_traces() -> None:
    first, second = a_tracing(prefix="one.")[0], a_tracing(prefix="two.")[0]
    one, two = first.of_event(viewed("e")), second.of_event(viewed("e"))
    assert one is not None
    assert two is not None
    assert one.trace != two.trace


def test_the_spans_of_a_trace_hang_together() -> None:
    tracing, spans = a_tracing()
    event = viewed("event-1")
    taken = tracing.of_event(event)
    assert taken is not None
    tracing.took_in(taken, 5, {"rekindle.event.type": "product_viewed"})
    tracing.folded(taken, 6, {})
    told = Link(taken.trace, 99)
    tracing.decided(told, 7, {"rekindle.campaign": "cart"})
    tracing.delivered(told, 8, {})

    intake, fold, decide, deliver = spans
    assert {span.trace for span in spans} == {taken.trace}
    assert [span.name for span in spans] == ["intake", "fold", "decide", "deliver"]
    assert intake.parent is None
    assert fold.parent == intake.span
    assert decide.parent == fold.span
    assert deliver.parent == decide.span
    assert len({span.span for span in spans}) == 4
    assert all(span.ended >= span.started for span in spans)


def test_opentelemetry_is_given_our_ids_and_times() -> None:
    exporter = InMemorySpanExporter()
    sender = Sender(exporter, "worker-1", "1.2.3")
    tracing = Tracing(sender.send, 1.0, "rekindle.", Clock())
    link = tracing.of_event(viewed("event-1"))
    assert link is not None
    tracing.took_in(link, 1_800_000_000_000_000_000, {"rekindle.event.type": "product_viewed"})
    tracing.folded(link, 1_800_000_000_000_000_000, {})
    sender.close()

    intake, fold = exporter.get_finished_spans()
    assert (intake.name, fold.name) == ("intake", "fold")
    assert intake.context is not None
    assert fold.context is not None
    assert intake.context.trace_id == fold.context.trace_id == link.trace
    assert intake.context.span_id == link.span
    assert intake.parent is None
    assert fold.parent is not None
    assert fold.parent.span_id == link.span
    assert intake.start_time == 1_800_000_000_000_000_000
    assert intake.end_time is not None
    assert intake.end_time > intake.start_time
    assert intake.attributes == {"rekindle.event.type": "product_viewed"}
    assert intake.resource.attributes["service.instance.id"] == "worker-1"


class Stuck(SpanExporter):
    """A collector that never answers, until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.over.wait(60)
        return SpanExportResult.FAILURE


def test_a_collector_that_does_not_answer_holds_no_end_up() -> None:
    stuck = Stuck()
    sender = Sender(stuck, "worker-1", "1")
    sender.send(Span("intake", 1, 2, None, 3, 4, {}))
    sender.close()
    assert not stuck.over.is_set(), "it went on without it"
    stuck.over.set()


def test_without_the_extra_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = Deployment.from_env({"REKINDLE_TRACE": "http://127.0.0.1:4318/v1/traces"})
    monkeypatch.setitem(sys.modules, "streams.spans", None)
    with pytest.raises(Refused, match=r"pip install 'rekindle\[tracing\]'"):
        tracing_of(deployment)


def test_no_span_names_a_person() -> None:
    tracing, spans = a_tracing()
    event = msgspec.structs.replace(viewed("user-4711-event"))
    link = tracing.of_event(event)
    assert link is not None
    tracing.took_in(link, 1, {})
    assert "4711" not in repr(spans)
    assert f"{link.trace:032x}" not in {event.user_id, event.event_id}


def test_while_nothing_is_traced_what_traces_is_not_even_imported() -> None:
    # redis-py imports the metrics of an OpenTelemetry it finds; that is not ours to prevent
    traces = "streams.spans opentelemetry.exporter opentelemetry.sdk.trace requests"
    program = (
        "import sys\n"
        "import streams.worker, streams.cli.running\n"
        "from streams.settings import Deployment\n"
        "assert streams.worker.tracing_of(Deployment.from_env({})) == (None, None)\n"
        f"print([name for name in '{traces}'.split() if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"
