"""An event loop whose clock jumps, whose order is drawn by a seed, and in which processes die.

Every task belongs to the process that started it, by its context. A killed process is never
resumed, at whatever await it stood; a stopped one is resumed when it goes on.
"""

import asyncio
import heapq
import sys
from asyncio import Handle
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

# Only so many of the callbacks that are ready are drawn from: a task may be late, not for ever.
_AMONG = 6


class Process:
    """Something that can be killed, stopped and continued; ``tasks`` are all it ever started."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stopped = False
        self.held: list[Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


def process() -> Process | None:
    """Return the process that runs now; None = the world outside."""
    return _PROCESS.get()


class _Future(asyncio.Future[Any]):
    """Numbered, so that sets of futures have the same order in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class _Task(asyncio.Task[Any]):
    """Numbered as well, before asyncio puts it into a set."""

    def __init__(self, work: Any, number: int, **more: Any) -> None:
        self.number = number
        super().__init__(work, **more)

    def __hash__(self) -> int:
        return self.number


class Deadlock(RuntimeError):
    """Nothing is ready and nothing is scheduled."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs on virtual seconds; chance is ``random`` alone."""

    _ready: Any
    _scheduled: Any
    _stopping: bool

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.random = random
        self.turns = 0
        self._numbers = 0
        self._virtual = 0.0
        self._processes: list[Process] = []
        self.outside: Context = copy_context()
        self.hook: Callable[[Process | None], None] | None = None
        self.set_task_factory(self._task)
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        return self._virtual

    def _write_to_self(self) -> None:
        """Nobody waits in a selector."""

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    # --- processes ------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        future = _Future(loop=self)
        self._numbers += 1
        future.number = self._numbers
        return future

    def _task(self, loop: Any, work: Any, **more: Any) -> asyncio.Task[Any]:
        self._numbers += 1
        task = _Task(work, self._numbers, loop=self, **more)
        context = more.get("context")
        owner = _PROCESS.get() if context is None else context.get(_PROCESS)
        if owner is not None:
            owner.tasks.append(task)
        return task

    def spawn(self, owner: Process, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start a task that belongs to ``owner``, as do all that it starts."""
        context = copy_context()
        context.run(_PROCESS.set, owner)
        if owner not in self._processes:
            self._processes.append(owner)
        return self.create_task(work, context=context)

    def stop_process(self, owner: Process) -> None:
        """SIGSTOP."""
        owner.stopped = True

    def continue_process(self, owner: Process) -> None:
        """SIGCONT: what would have run in between is ready now."""
        owner.stopped = False
        self._ready.extend(owner.held)
        owner.held.clear()

    def kill(self, owner: Process) -> None:
        """SIGKILL."""
        owner.dead = True
        owner.held.clear()

    def call_outside(self, delay: float, work: Callable[[], object]) -> None:
        """Run something in the world, whatever becomes of who asked for it."""
        self.call_later(delay, work, context=self.outside)

    # --- running --------------------------------------------------------------------------------

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        if not ready:
            while scheduled and scheduled[0]._cancelled:
                heapq.heappop(scheduled)._scheduled = False
            if not scheduled:
                raise Deadlock("nothing will ever happen again")
            self._virtual = max(self._virtual, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._virtual:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            if not timer._cancelled:
                ready.append(timer)
        if not ready:
            return
        among = min(len(ready), _AMONG)
        if among > 1:
            ready.rotate(-self.random.randrange(among))
        handle = ready.popleft()
        if handle._cancelled:
            return
        owner = handle._context.get(_PROCESS)
        if owner is not None:
            if owner.dead:
                return
            if owner.stopped:
                owner.held.append(handle)
                return
        self.turns += 1
        handle._run()
        if self.hook is not None:
            self.hook(owner)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, then let go of everything that was killed or is still at work."""
        asyncio.set_event_loop(self)
        try:
            return self.run_until_complete(work)
        finally:
            self._dispose()
            asyncio.set_event_loop(None)
            self.close()

    def _dispose(self) -> None:
        """Close the coroutines of all that never ended; what they say of it is of no interest."""
        before, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            for task in [task for owner in self._processes for task in owner.tasks]:
                # asyncio's own switch for tasks that are given up; typeshed does not know it
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                if not task.done():
                    _close(task.get_coro())
            for owner in self._processes:
                owner.tasks.clear()
                owner.held.clear()
            self._ready.clear()
            self._scheduled.clear()
            self._processes.clear()
        finally:
            sys.unraisablehook = before


def _close(work: Any) -> None:
    """Close a coroutine, and those it was given and never began."""
    frame = getattr(work, "cr_frame", None)  # a generator's end has none
    given = list(frame.f_locals.values()) if frame is not None else []
    with suppress(BaseException):
        work.close()
    for inner in given:
        if asyncio.iscoroutine(inner):
            _close(inner)


__all__ = ["Deadlock", "Process", "VirtualLoop", "process"]
