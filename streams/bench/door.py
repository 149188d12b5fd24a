"""The HTTP door under load: requests a second, and how long one takes.

The clients are a process of their own, `python -m streams.bench.door PORT CLIENTS SECONDS EVENTS`:
each keeps one connection and sends its next request when the last was answered, as SDKs do. The
worker has nothing else to do (it only delivers), so that its CPU is the door's.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from time import monotonic, time
from typing import Any, Final

from engine.errors import Refused
from engine.times import SECOND
from streams.bench import workers
from streams.bench.ground import standing
from streams.bench.live import tracked
from streams.bench.peers.rules import campaigns
from streams.bench.spread import spread
from streams.bench.stretch import cpu_of
from streams.bench.telling import Table, figure
from streams.settings import Deployment

CLIENTS: Final = 32
# Events per request: one, and what a server SDK sends at once.
_SIZES: Final = {"track": 1, "batch": 100}


def measure(deployment: Deployment, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``door``: for /v1/track and /v1/batch what a worker answers, and what it costs."""
    seconds = 3 if quick else 15
    file = campaigns(delay="1h", hard_limit="4h", settle="0s", cap="1m", limit=10)
    found = {}
    with (
        standing(deployment, file),
        workers.running(deployment, "deliver", clock="live") as (worker,),
    ):
        workers.wait(lambda: workers.ready(worker), 1, [worker])
        for path, events in _SIZES.items():
            say(f"door: {CLIENTS} clients at /v1/{path}")
            found[path] = _load(worker, events, seconds)
    return {"door": found}


def tables(found: dict[str, Any]) -> list[Table]:
    """Return what :func:`measure` found as a table."""
    rows = [
        [
            f"/v1/{path}, {told['events_each']} per request",
            figure(told["requests_per_second"], digits=0),
            figure(told["events_per_second"], digits=0),
            figure(told["answer_ms"]["p50"]),
            figure(told["answer_ms"]["p99"]),
            figure(told["worker_us_per_event"]),
        ]
        for path, told in found["door"].items()
    ]
    head = ("", "requests/s", "events/s", "p50 ms", "p99 ms", "CPU per event, µs")
    return [Table("The HTTP door", head, rows, f"{CLIENTS} keep-alive clients on one machine.")]


def _load(worker: workers.Process, events: int, seconds: int) -> dict[str, Any]:
    """Let the clients' process post for a while and return what it and the worker's clock say."""
    port = workers.port_of(worker)
    command = [sys.executable, "-m", "streams.bench.door"]
    command += [str(number) for number in (port, CLIENTS, seconds, events)]
    before = cpu_of(worker.pid)
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - ours
    used = cpu_of(worker.pid) - before
    if ended.returncode:
        message = "The clients of the door ended early: their own messages stand above."
        raise Refused(message)
    told: dict[str, Any] = json.loads(ended.stdout)
    sent = told["answer_ms"]["n"] * events
    return {"events_each": events, **told, "worker_us_per_event": round(used / sent * 1e6, 1)}


# --- the clients --------------------------------------------------------------------------------


async def post(port: int, clients: int, seconds: float, events: int) -> dict[str, Any]:
    """Post until the time is over; return rates and answer times in ms.

    Raises RuntimeError for any answer but 200.
    """
    end = monotonic() + seconds
    began = monotonic()
    times = await asyncio.gather(*[_client(port, n, end, events) for n in range(clients)])
    wall = monotonic() - began
    answered = [time_ for each in times for time_ in each]
    return {
        "requests_per_second": round(len(answered) / wall),
        "events_per_second": round(len(answered) * events / wall),
        "answer_ms": spread(answered),
    }


async def _client(port: int, client: int, end: float, events: int) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # Made once: the machine's cores are for the door, not for writing JSON.
    request = _request(client, events)
    times = []
    try:
        while monotonic() < end:
            began = monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                message = f"the door answered {head.splitlines()[0]!r}"
                raise RuntimeError(message)
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            times.append((monotonic() - began) * SECOND)
    finally:
        writer.close()
    return times


def _request(client: int, events: int) -> bytes:
    now = int(time() * SECOND)
    made = [tracked(n, f"u{client}-{n}", "Product Viewed", now) for n in range(events)]
    path, body = ("track", made[0]) if events == 1 else ("batch", {"batch": made})
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


if __name__ == "__main__":
    where, many, long, each = (int(argument) for argument in sys.argv[1:])
    print(json.dumps(asyncio.run(post(where, many, long, each))))  # noqa: T201 - read by the bench
