"""Runs the real worker with wrapped methods, so that it kills itself (-9) at a labelled point.

Production code knows nothing of it: classes are patched in the worker's own process, after the
fork. A crash is ordered as ``label:n``, the n-th passage from then on: at the start, or later by
SIGUSR1, which makes the worker read its order from a file. Each crash is written down beside it
before the process dies. A mutant of the checker is installed the same way, by name.
"""

import asyncio
import contextvars
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from engine.errors import Refused
from streams import worker
from streams.agents.decide import DecideLane
from streams.agents.deliver import DeliverLane
from streams.agents.intake import IntakeLane
from streams.delivery import gateways
from streams.delivery.handover import HandOvers
from streams.log import topics
from streams.log.dead_letters import DeadLetters
from streams.log.outbox import Outbox
from streams.log.producer import Producer
from streams.log.source import Source
from streams.log.ticks import Ticker
from streams.settings import Deployment
from streams.state.claims import RedisClaims
from streams.state.lanes import IntakeLanes
from streams.state.server import Sends
from streams.state.store import RedisStore

# Channels whose provider ignores idempotency keys: what is in doubt is never asked again.
AT_MOST_ONCE: Final = ("sms", "email")

Method = Callable[..., Awaitable[Any]]


class Point:
    """One labelled point: before or after a method of a class, where ``when`` holds.

    ``when`` is given the call's arguments (self first) and, after it, what it returned.
    """

    def __init__(
        self,
        label: str,
        owner: type,
        method: str,
        *,
        before: bool = False,
        entering: bool = False,
        when: Callable[[tuple[Any, ...], Any], bool] = lambda *_: True,
    ) -> None:
        """``entering``: passed only where a lane is entered, so a crash is ordered at the start."""
        self.label = label
        self.owner = owner
        self.method = method
        self.before = before
        self.entering = entering
        self.when = when


def _topic(name: str) -> Callable[[tuple[Any, ...], Any], bool]:
    return lambda arguments, _: f".{name}" in str(arguments[1]) and bool(arguments[3])


POINTS: Final = (
    # What decide does when it takes a partition over.
    Point("acquired", RedisStore, "acquire", entering=True),
    Point("drained", Outbox, "drain", entering=True),
    Point("entered", DecideLane, "enter", entering=True),
    # Its step: load, commit, let out.
    Point("loading", RedisStore, "load", before=True),
    Point("loaded", RedisStore, "load"),
    Point("committing", RedisStore, "commit", before=True),
    Point("commit_answered", RedisStore, "commit"),
    Point(
        "outbox_committed",
        RedisStore,
        "commit",
        when=lambda arguments, _: bool(arguments[3].outbox),
    ),
    Point(
        "decisions_produced",
        Producer,
        "run",
        when=_topic(topics.DECISIONS),
    ),
    Point("actions_produced", Producer, "run", when=_topic(topics.ACTIONS)),
    Point("acknowledged", Outbox, "publish", when=lambda _, last: last is not None),
    Point(
        "trimmed",
        RedisStore,
        "commit",
        when=lambda arguments, _: arguments[3].trim is not None,
    ),
    Point("ticked", Ticker, "_write"),
    # Intake: forwarded but not noted as such is the doubt.
    Point("intake_entered", IntakeLane, "enter", entering=True),
    Point("forwarding", IntakeLane, "step", before=True),
    Point("forwarded_some", Producer, "run", when=_topic(topics.EVENTS)),
    Point("buried", DeadLetters, "write"),
    Point("forwarded", IntakeLanes, "save", before=True),
    Point("saved", IntakeLanes, "save"),
    # Deliver: claim, offset, call, report.
    Point("deliver_entered", DeliverLane, "enter", entering=True),
    Point("judged", HandOvers, "judge"),
    Point("claimed", RedisClaims, "claim", when=lambda _, claimed: bool(claimed)),
    Point("offset_committed", Source, "commit_now"),
    Point("calling", gateways.WebhookGateway, "send", before=True),
    Point("called", gateways.WebhookGateway, "send"),
    Point("reported", DeliverLane, "_report"),
    Point("answered", RedisClaims, "answered"),
)
# The command has left for Redis and its answer has not come: below every method of ours.
COMMIT_SENT: Final = "commit_sent"
LABELS: Final = (COMMIT_SENT, *[point.label for point in POINTS])
ENTERING: Final = frozenset(point.label for point in POINTS if point.entering)


class Crash:
    """The crash that is ordered, if any: counts down the passages of its label."""

    def __init__(self, armed: Path) -> None:
        """``armed``: where orders are read from and deaths are noted beside."""
        self._armed = armed
        self._label: str | None = None
        self._left = 0

    def order(self, text: str | None) -> None:
        """Take an order, ``label:n``; raises ValueError for a label that is none."""
        if not text:
            return
        label, _, count = text.partition(":")
        if label not in LABELS:
            message = f"there is no label {label!r}; there are {', '.join(LABELS)}"
            raise ValueError(message)
        self._label, self._left = label, int(count or 1)

    def read(self, *_: object) -> None:
        """Take the order that stands in the file: SIGUSR1."""
        self.order(self._armed.read_text("utf-8").strip())

    def passes(self, label: str) -> None:
        """Die here if it is time."""
        if label != self._label:
            return
        self._left -= 1
        if self._left > 0:
            return
        line = f"{int(time.time() * 1000)} {label} {os.getpid()}\n".encode()
        deaths = os.open(
            self._armed.with_suffix(".deaths"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
        )
        os.write(deaths, line)
        os.kill(os.getpid(), signal.SIGKILL)


def install(crash: Crash) -> None:
    """Wrap every labelled method."""
    by_method: dict[tuple[type, str], list[Point]] = {}
    for point in POINTS:
        by_method.setdefault((point.owner, point.method), []).append(point)
    for (owner, name), points in by_method.items():
        setattr(owner, name, _wrapped(getattr(owner, name), points, crash))
    _wrap_commit_sent(crash)


def _wrapped(method: Method, points: list[Point], crash: Crash) -> Method:
    before = [point for point in points if point.before]
    after = [point for point in points if not point.before]

    async def passing(*arguments: Any, **named: Any) -> Any:
        for point in before:
            if point.when(arguments, None):
                crash.passes(point.label)
        answer = await method(*arguments, **named)
        for point in after:
            if point.when(arguments, answer):
                crash.passes(point.label)
        return answer

    return passing


def _wrap_commit_sent(crash: Crash) -> None:
    committing: contextvars.ContextVar[bool] = contextvars.ContextVar("committing", default=False)
    commit: Any = RedisStore.commit
    send: Any = Sends.send_packed_command

    async def marked(*arguments: Any) -> Any:
        token = committing.set(True)
        try:
            return await commit(*arguments)
        finally:
            committing.reset(token)

    async def sent(*arguments: Any, **named: Any) -> None:
        await send(*arguments, **named)
        if committing.get():
            crash.passes(COMMIT_SENT)

    RedisStore.commit = marked  # type: ignore[method-assign,assignment] # wrapped as all others
    Sends.send_packed_command = sent  # type: ignore[method-assign] # wrapped as all others


def _some_ignore_keys() -> None:
    """Let the webhooks of some channels be such that nothing is asked twice."""

    def webhook(url: str, secret: str) -> gateways.WebhookGateway:
        channel = url.rpartition("/")[2]
        asked_again = channel not in AT_MOST_ONCE
        return gateways.WebhookGateway(url, secret, name=channel, idempotent=asked_again)

    vars(worker)["WebhookGateway"] = webhook


def _tell_tasks(*_: object) -> None:
    """Write what every task waits for: SIGUSR2, to a worker that does not come to rest."""
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stderr)
    sys.stderr.flush()


def run(armed: Path, crash_at: str | None, mutant: str | None) -> int:
    """Run a worker as the settings of this process say; returns its exit code."""
    crash = Crash(armed)
    crash.order(crash_at)
    signal.signal(signal.SIGUSR1, crash.read)
    signal.signal(signal.SIGUSR2, _tell_tasks)
    _some_ignore_keys()
    if mutant is not None:
        from tests.faults.checker.mutants import MUTANTS  # noqa: PLC0415 - only where it is asked

        MUTANTS[mutant]()
    install(crash)
    try:
        worker.run(Deployment.from_process())
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0
