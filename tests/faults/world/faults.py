"""What goes wrong, and when: a schedule drawn from the plan's seed, carried out as time goes by."""

import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from tests.faults.world import launcher
from tests.faults.world import plan as kinds
from tests.faults.world.crew import Crew, Worker, until
from tests.faults.world.gateway import Gateway
from tests.faults.world.plan import FaultDone, Plan
from tests.faults.world.relay import Relays
from tests.faults.world.servers import Broker, FallingRedis

# Longer than the session timeout of the workers' groups (10 s): a zombie, not a pause.
_ZOMBIE: Final = (11.0, 14.0)
# Passages of a label until it is the one: soon for what is rare, later for what is passed often.
_PASSAGES: Final = (1, 1, 2, 3, 5, 9, 20)
_RARE: Final = frozenset({"buried", "ticked", "answered", "reported"})
_REACHED: Final = 25.0


class Due(NamedTuple):
    """One fault of the schedule; ``at`` seconds after the load began."""

    at: float
    kind: str
    draw: float


def schedule(plan: Plan) -> list[Due]:
    """Spread the plan's faults over its time, in order; the same plan gives the same schedule."""
    draws = random.Random(plan.seed)
    # The first moments belong to the workers' start, the last ones to what was begun.
    first, last = min(8.0, plan.seconds * 0.1), plan.seconds * 0.95
    found = []
    for kind, count in sorted(plan.faults.items()):
        if kind not in kinds.KINDS:
            message = f"there is no fault {kind!r}; there are {', '.join(kinds.KINDS)}"
            raise ValueError(message)
        for number in range(count):
            # One in each of equal parts of the time, anywhere in its part.
            at = first + (last - first) * (number + draws.random()) / count
            found.append(Due(at, kind, draws.random()))
    return sorted(found)


# A worker harmed at a label is held for up to 25 s, and eight such faults may wait for one worker.
_TURN: Final = 300.0


class Faults:
    """Carries a schedule out against everything that runs."""

    def __init__(
        self,
        plan: Plan,
        crew: Crew,
        redis: FallingRedis,
        broker: Broker,
        relays: Relays,
        gateway: Gateway,
    ) -> None:
        """Nothing happens before :meth:`run`."""
        self._plan = plan
        self._crew = crew
        self._redis = redis
        self._broker = broker
        self._relays = relays
        self._gateway = gateway
        self._redis_lock = threading.Lock()
        self._kafka_lock = threading.Lock()
        self._gateway_lock = threading.Lock()
        self._labels: list[str] = []
        self.done: list[FaultDone] = []

    def run(self, began: float) -> None:
        """Carry it all out; ``began``: monotonic, when the load did. Raises what a fault raised."""
        doing: list[Future[None]] = []
        # Wide enough that a fault waits for its turn in its own thread, not in the schedule's.
        with ThreadPoolExecutor(24, "fault") as pool:
            for due in schedule(self._plan):
                wait = began + due.at - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                doing.append(pool.submit(self._do, due))
        for one in doing:
            one.result()

    def _do(self, due: Due) -> None:
        at = int(time.time() * 1000)
        detail = self._ways()[due.kind](due.draw)
        self.done.append(FaultDone(due.kind, at, detail))

    def _ways(self) -> Mapping[str, Callable[[float], dict[str, Any]]]:
        return {
            kinds.KILL: self._kill,
            kinds.KILL_AT: self._kill_at,
            kinds.REPLACE: self._replace,
            kinds.FREEZE: self._freeze,
            kinds.ROLL: self._roll,
            kinds.SCALE: self._scale,
            kinds.NOBODY: self._nobody,
            kinds.REDIS_KILL: self._redis_kill,
            kinds.REDIS_BACK: self._redis_back,
            kinds.REDIS_FULL: self._redis_full,
            kinds.REDIS_CUT: self._redis_cut,
            kinds.REDIS_SLOW: self._redis_slow,
            kinds.KAFKA_STOP: self._kafka_stop,
            kinds.KAFKA_CUT: self._kafka_cut,
            kinds.KAFKA_SLOW: self._kafka_slow,
            kinds.GATEWAY_SLOW: self._gateway_slow,
            kinds.GATEWAY_ILL: self._gateway_ill,
        }

    # --- workers --------------------------------------------------------------------------------

    def _take(self, draw: float) -> Worker:
        """Return a worker that runs, locked by us; waits while there is none."""
        deadline = time.monotonic() + _TURN
        while time.monotonic() < deadline:
            there = list(self._crew.workers)
            first = int(draw * len(there))
            for worker in there[first:] + there[:first]:
                if not worker.wanted or not worker.lock.acquire(blocking=False):
                    continue
                if worker.wanted and not worker.frozen and self._crew.alive(worker):
                    return worker
                worker.lock.release()
            time.sleep(0.05)
        message = "no worker runs that could be harmed"
        raise TimeoutError(message)

    def _kill(self, draw: float) -> dict[str, Any]:
        worker = self._take(draw)
        try:
            age = time.monotonic() - worker.began
            self._crew.kill(worker)
            self._crew.start(worker, kinds.KILL)
        finally:
            worker.lock.release()
        return {"worker": worker.name, "age": round(age, 2)}

    def _kill_at(self, draw: float) -> dict[str, Any]:
        """Arm a worker and wait until it dies; a label it does not come by is said so."""
        label = self._next_label()
        most = 2 if label in _RARE or label in launcher.ENTERING else len(_PASSAGES)
        order = f"{label}:{_PASSAGES[int(draw * 997) % most]}"
        worker = self._take(draw)
        try:
            if label in launcher.ENTERING:
                self._crew.kill(worker)
                self._crew.start(worker, kinds.KILL_AT, order)
            else:
                self._crew.arm(worker, order)
            died = until(lambda: not self._crew.alive(worker), _REACHED, 0.02)
            if not died:
                self._crew.kill(worker)
            self._crew.start(worker, kinds.KILL_AT)
        finally:
            worker.lock.release()
        return {"worker": worker.name, "order": order, "reached": bool(died)}

    def _next_label(self) -> str:
        """Return labels in turn, mixed anew each round."""
        if not self._labels:
            self._labels = list(self._plan.labels or launcher.LABELS)
            random.Random(self._plan.seed + len(self.done)).shuffle(self._labels)
        return self._labels.pop()

    def _replace(self, draw: float) -> dict[str, Any]:
        worker = self._take(draw)
        try:
            before = worker.name
            self._crew.kill(worker)
            worker.name = f"{before.partition('.')[0]}.{self._crew.starts}"
            self._crew.start(worker, kinds.REPLACE)
        finally:
            worker.lock.release()
        return {"before": before, "after": worker.name}

    def _freeze(self, draw: float) -> dict[str, Any]:
        worker = self._take(draw)
        seconds = _ZOMBIE[0] + (_ZOMBIE[1] - _ZOMBIE[0]) * draw
        try:
            self._crew.freeze(worker)
            time.sleep(seconds)
            self._crew.thaw(worker)
        finally:
            worker.lock.release()
        return {"worker": worker.name, "seconds": round(seconds, 1)}

    def _roll(self, draw: float) -> dict[str, Any]:
        codes = {}
        for place in range(len(self._crew.workers)):
            worker = self._take(place / len(self._crew.workers))
            try:
                codes[worker.name] = self._crew.stop(worker)
                self._crew.start(worker, kinds.ROLL)
            finally:
                worker.lock.release()
            self._until_ready(worker)
        return {"codes": codes, "draw": round(draw, 3)}

    @staticmethod
    def _until_ready(worker: Worker) -> None:
        until(lambda: worker.ready, 10)

    def _scale(self, draw: float) -> dict[str, Any]:
        worker = self._crew.hire()
        time.sleep(5 + 5 * draw)
        with worker.lock:
            code = self._crew.stop(worker)
        return {"worker": worker.name, "ended": code}

    def _nobody(self, draw: float) -> dict[str, Any]:
        """Take all workers away, some with -9 and some in order, while the load goes on."""
        seconds = 3 + 7 * draw
        there = [worker for worker in self._crew.workers if worker.wanted]
        for worker in there:
            worker.lock.acquire()
        try:
            running = [worker for worker in there if worker.wanted]
            for number, worker in enumerate(running):
                if (number + int(draw * 10)) % 2:
                    self._crew.stop(worker)
                else:
                    self._crew.kill(worker)
            time.sleep(seconds)
            for worker in running:
                self._crew.start(worker, kinds.NOBODY)
        finally:
            for worker in there:
                worker.lock.release()
        return {"seconds": round(seconds, 1), "workers": len(running)}

    # --- Redis ----------------------------------------------------------------------------------

    def _redis_kill(self, draw: float) -> dict[str, Any]:
        with self._redis_lock:
            self._redis.kill()
            time.sleep(2 * draw)
            self._redis.start()
        return {"away": round(2 * draw, 2)}

    def _redis_back(self, draw: float) -> dict[str, Any]:
        with self._redis_lock:
            return self._redis.fall_back(1 + 2 * draw)

    def _redis_full(self, draw: float) -> dict[str, Any]:
        with self._redis_lock:
            used = self._redis.used()
            self._redis.memory(max(used - 1_000_000, 1_000_000))
            time.sleep(2 + 3 * draw)
            self._redis.memory(0)
        return {"used": used, "seconds": round(2 + 3 * draw, 1)}

    def _redis_cut(self, draw: float) -> dict[str, Any]:
        return self._cut("redis", draw)

    def _redis_slow(self, draw: float) -> dict[str, Any]:
        return self._slow("redis", 0.02 + 0.2 * draw)

    def _cut(self, relay: str, draw: float) -> dict[str, Any]:
        self._relays.tell(relay, refuse=True, cut=True)
        time.sleep(2 * draw)
        self._relays.tell(relay, refuse=False)
        return {"refused": round(2 * draw, 2)}

    def _slow(self, relay: str, delay: float) -> dict[str, Any]:
        self._relays.tell(relay, delay=delay)
        time.sleep(5)
        self._relays.tell(relay, delay=0)
        return {"delay": round(delay, 3), "seconds": 5}

    # --- Kafka ----------------------------------------------------------------------------------

    def _kafka_stop(self, draw: float) -> dict[str, Any]:
        with self._kafka_lock:
            hard = draw < 0.5
            if hard:
                self._broker.kill()
            else:
                self._broker.stop()
            time.sleep(self._plan.kafka_stop)
            self._broker.start()
        how = signal.Signals.SIGKILL if hard else signal.Signals.SIGTERM
        return {"seconds": self._plan.kafka_stop, "by": how.name}

    def _kafka_cut(self, draw: float) -> dict[str, Any]:
        return self._cut("kafka", draw)

    def _kafka_slow(self, draw: float) -> dict[str, Any]:
        return self._slow("kafka", 0.02 + 0.1 * draw)

    # --- gateway --------------------------------------------------------------------------------

    def _gateway_slow(self, draw: float) -> dict[str, Any]:
        with self._gateway_lock:
            # Up to more than the ten seconds a hand-over waits for its answer.
            slow = 0.2 + 11 * draw
            self._gateway.tell(slow=slow)
            time.sleep(6)
            self._gateway.tell(slow=0)
        return {"slow": round(slow, 1)}

    def _gateway_ill(self, draw: float) -> dict[str, Any]:
        with self._gateway_lock:
            self._gateway.tell(ill=0.2 + 0.8 * draw)
            time.sleep(6)
            self._gateway.tell(ill=0)
        return {"ill": round(0.2 + 0.8 * draw, 2)}
