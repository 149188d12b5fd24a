"""Gives spans to OpenTelemetry, which sends them from a thread of its own.

Imported only where something is traced: the rest of the product does without the library.
"""

from threading import Thread
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

from streams.tracing import Span

# What a collector is given for one request, s.
_PATIENCE: Final = 2.0
# What a worker that ends gives its last spans, s; it must be out within ten.
_LAST_SPANS: Final = 1.5
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class DrawnIds(IdGenerator):
    """The ids of the next span, drawn beforehand; both happen in one thread, one upon the other."""

    def __init__(self) -> None:
        """Nothing was drawn yet."""
        self._trace = self._span = 0

    def next(self, trace: int, span: int) -> None:
        """Set the ids of the span that is started next."""
        self._trace, self._span = trace, span

    def generate_span_id(self) -> int:
        """Return its id."""
        return self._span

    def generate_trace_id(self) -> int:
        """Return the id of its trace."""
        return self._trace

    def is_trace_id_random(self) -> bool:
        """Return whether its last 56 bits are as good as random: they are those of a hash."""
        return True


class Sender:
    """Sends the spans of one process; a queue that is full drops them and holds nobody up."""

    def __init__(self, exporter: SpanExporter, worker: str, version: str) -> None:
        """``exporter``: where they go; ``worker`` and ``version``: who sends them."""
        self._ids = DrawnIds()
        who = {
            "service.name": "rekindle",
            "service.version": version,
            "service.instance.id": worker,
        }
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # whoever calls has drawn already
            id_generator=self._ids,
            shutdown_on_exit=False,
            resource=Resource.create(who),
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("rekindle", version)

    def send(self, span: Span) -> None:
        """Queue one span."""
        context = Context()
        if span.parent is not None:
            parent = SpanContext(span.trace, span.parent, is_remote=True, trace_flags=_SAMPLED)
            context = set_span_in_context(NonRecordingSpan(parent), context)
        self._ids.next(span.trace, span.span)
        told = self._tracer.start_span(
            span.name,
            context,
            SpanKind.CONSUMER,
            attributes=dict(span.attributes),
            start_time=span.started,
        )
        told.end(span.ended)

    def close(self) -> None:
        """Send what is queued, for at most a second and a half."""
        # A collector that is away is tried again and again: it must not hold the end up.
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_LAST_SPANS)


def to_collector(endpoint: str, worker: str, version: str) -> Sender:
    """Return what sends spans to an OTLP/HTTP collector."""
    return Sender(OTLPSpanExporter(endpoint, timeout=_PATIENCE), worker, version)


__all__ = ["Sender", "to_collector"]
