"""Requests to a server outside: late, lost on the way, lost on the way back, or cut by its fall."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from tests.faults.simulation.loop import VirtualLoop

T = TypeVar("T")


class Lost(ConnectionError):
    """The connection broke or nobody answered in time: the server did it, or will, or never."""


@dataclass
class Weather:
    """How bad a link is: chance of each mishap per request, and its delays in seconds."""

    lost: float = 0.0  # never arrives
    mute: float = 0.0  # applied, the answer is lost
    slow: float = 0.0  # arrives after the caller gave up
    fast: float = 0.002
    longest: float = 0.02


class Server:
    """A server and the links to it; everything it does, it does at one moment."""

    def __init__(self, loop: VirtualLoop, random: Random, counts: Counter[str], name: str) -> None:
        self.loop = loop
        self.random = random
        self.counts = counts
        self.name = name
        self.weather = Weather()
        self.calm = Weather()
        self.down = False
        self.life = 0  # a fall cuts every connection: what was on its way is gone
        self.patience = 2.0

    def fall(self) -> None:
        """Stop answering; nothing that is on its way arrives any more."""
        self.down = True
        self.life += 1

    def rise(self) -> None:
        """Answer again."""
        self.down = False

    def delay(self) -> float:
        """Draw how long one way takes."""
        weather = self.weather
        return weather.fast + self.random.random() ** 3 * weather.longest

    async def ask(self, work: Callable[[], T], arrives: float | None = None) -> T:
        """Let the server do ``work``, and return what it returned; raises Lost.

        ``arrives``: when it arrives, where a connection keeps an order; else it is drawn.
        """
        loop, random = self.loop, self.random
        answer: asyncio.Future[T] = loop.create_future()
        if self.down:
            await asyncio.sleep(0.05)
            raise Lost(f"{self.name} is down")
        weather, lot = self.weather, random.random()
        there = self.delay() if arrives is None else arrives - loop.time()
        lost = lot < weather.lost
        mute = not lost and lot < weather.lost + weather.mute
        slow = not lost and not mute and lot < weather.lost + weather.mute + weather.slow
        if lost:
            self.counts[f"{self.name}: request lost"] += 1
        elif slow:
            self.counts[f"{self.name}: late after the caller gave up"] += 1
            there += self.patience + random.random()
        life, back = self.life, self.delay()

        def settle(value: T | None, error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(value)  # type: ignore[arg-type] # T may be None
            answer.exception()  # nobody may be left to look

        def arrive() -> None:
            if self.life != life:
                loop.call_outside(back, lambda: settle(None, Lost(f"{self.name} fell")))
                return
            try:
                done = work()
            except Exception as error:  # noqa: BLE001 - the answer is an error
                failed = error
                loop.call_outside(back, lambda: settle(None, failed))
                return
            if mute:
                self.counts[f"{self.name}: applied, answer lost"] += 1
                return
            loop.call_outside(back, lambda: settle(done, None))

        if not lost:
            loop.call_outside(there, arrive)
        if lost or mute or slow:
            # A broken connection is noticed at once or by the time-out.
            notice = self.patience if slow or random.random() < 0.3 else there + back
            late = Lost(f"{self.name} did not answer")
            loop.call_outside(notice, lambda: settle(None, late))
        return await answer


__all__ = ["Lost", "Server", "Weather"]
