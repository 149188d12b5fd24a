"""What goes wrong, and when; and how everything is well again."""

import asyncio
from typing import Any

from tests.faults.simulation.network import Server, Weather
from tests.faults.simulation.shop import Shop, Worker


class Chaos:
    """Draws faults by the seed of the shop."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.random = shop.random
        self.healing = False
        self.kinds = [
            self._kill,
            self._kill,
            self._kill_soon,
            self._kill_soon,
            self._kill_soon,
            self._freeze,
            self._zombie,
            self._redis_falls_back,
            self._redis_falls_back,
            self._redis_away,
            self._kafka_away,
            self._gateway_away,
            self._weather,
            self._weather,
            self._restart,
            self._nobody,
            self._scale_out,
        ]

    async def rage(self, shopping: "asyncio.Task[Any]") -> None:
        """Let things go wrong until the shoppers are done."""
        self.shop.unwell = True
        while not shopping.done():
            if self.shop.plan.faults:
                await asyncio.sleep(self.random.expovariate(self.shop.plan.faults))
                if not shopping.done():
                    self.random.choice(self.kinds)()
            else:
                await asyncio.sleep(0.5)

    def heal(self) -> None:
        """Everything is up, well and fast; everybody who was stopped goes on."""
        shop, self.healing = self.shop, True
        shop.unwell = False
        shop.broker.misplaced = 0.0
        for server in (shop.broker, shop.redis, shop.gateway):
            server.weather = server.calm
            server.rise()
        for worker in shop.workers:
            if not shop.plan.crash_at:
                worker.countdown = 0
            if worker.process is not None and worker.process.stopped:
                shop.loop.continue_process(worker.process)
            if not worker.running:
                worker.start()
        for zombie in shop.zombies:
            shop.loop.continue_process(zombie)

    # --- workers --------------------------------------------------------------------------------

    def _some(self) -> Worker | None:
        running = [w for w in self.shop.workers if w.running and w.process not in self.shop.zombies]
        return self.random.choice(running) if running else None

    def _count(self, name: str) -> None:
        self.shop.counts[name] += 1

    def _back(self, worker: Worker, longest: float) -> None:
        def again() -> None:
            if not self.healing and not worker.running:
                worker.start()

        self.shop.loop.call_outside(self.random.random() * longest, again)

    def crash(self, worker: Worker) -> None:
        """Do what the plan says to the worker that came to the crash point."""
        if self.shop.plan.crash == "zombie":
            self._replace(worker)
        else:
            worker.kill()
            self.shop.loop.call_outside(0.2, worker.again)

    def _kill(self) -> None:
        if worker := self._some():
            self._count("kills")
            worker.kill()
            self._back(worker, 6.0)

    def _kill_soon(self) -> None:
        """At any await, some turns from now."""
        if worker := self._some():
            self._count("kills")
            worker.countdown = self.random.randrange(1, 120)
            self._back(worker, 3.0)

    def _freeze(self) -> None:
        """SIGSTOP, then SIGCONT."""
        worker = self._some()
        if worker is None or worker.process is None:
            return
        process = worker.process
        self._count("freezes")
        self.shop.loop.stop_process(process)
        self.shop.loop.call_outside(
            self.random.random() ** 2 * 12.0, lambda: self.shop.loop.continue_process(process)
        )

    def _zombie(self) -> None:
        """A stopped process is replaced under its own name, and goes on later."""
        if worker := self._some():
            self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        process, shop, loop = worker.process, self.shop, self.shop.loop
        assert process is not None
        self._count("zombies")
        loop.stop_process(process)
        self.shop.zombies.append(process)

        def replace() -> None:
            if worker.process is process and (shop.plan.crash_at or not self.healing):
                worker.start()

        loop.call_outside(self.random.random(), replace)
        loop.call_outside(1.0 + self.random.random() * 4.0, lambda: loop.continue_process(process))

    def _restart(self) -> None:
        """SIGTERM and start again."""
        worker = self._some()
        if worker is None or worker.process is None:
            return
        process = worker.process
        self._count("restarts")

        async def end() -> None:
            await worker.stop()
            self.shop.loop.kill(process)
            if worker.process is process and not self.healing:
                self.shop.loop.call_outside(0.3, worker.again)

        self.shop.loop.spawn(process, end())
        # A supervisor's patience ends.
        self.shop.loop.call_outside(10.0, lambda: self.shop.loop.kill(process))
        self.shop.loop.call_outside(10.5, worker.again)

    def _nobody(self) -> None:
        """All of them at once, while people go on buying."""
        self._count("all workers down")
        for worker in self.shop.workers:
            worker.kill()
            self._back(worker, 8.0)

    def _scale_out(self) -> None:
        if len(self.shop.workers) < 4:
            self._count("scale-outs")
            worker = Worker(self.shop, f"w{len(self.shop.workers)}")
            self.shop.workers.append(worker)
            worker.start()

    # --- servers --------------------------------------------------------------------------------

    def _away(self, server: Server, longest: float) -> None:
        self._count(f"{server.name} away")
        server.fall()
        self.shop.loop.call_outside(self.random.random() * longest, server.rise)

    def _redis_away(self) -> None:
        self._away(self.shop.redis, 3.0)

    def _kafka_away(self) -> None:
        self._away(self.shop.broker, 3.0)

    def _gateway_away(self) -> None:
        self._away(self.shop.gateway, 4.0)

    def _redis_falls_back(self) -> None:
        """A consistent older state, tokens and claims with it."""
        depth = int(self.random.random() ** 2 * 2500)
        self.shop.redis.fall()
        gone = self.shop.database.fall_back(self.shop.clock() - depth)
        self._count("redis fall-backs" if gone else "redis kills")
        self.shop.loop.call_outside(self.random.random() ** 3, self.shop.redis.rise)

    def _weather(self) -> None:
        bad = self.shop.plan.bad
        server = self.random.choice((self.shop.redis, self.shop.redis, self.shop.broker))
        lost, mute, slow = (self.random.random() * bad for _ in range(3))
        longest = self.random.choice((0.01, 0.05, 0.4))
        server.weather = Weather(lost, mute, slow, longest=longest)
        self.shop.broker.misplaced = self.shop.plan.misplaced


__all__ = ["Chaos"]
