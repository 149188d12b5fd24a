"""Faults that burn the budgets of the objectives.

Windows of hours and days are cut to half a minute: what the processes' start made of them would
otherwise weigh as much as the fault.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tests.faults.alerts.platform import pulses, well
from tests.faults.alerts.trial import Fault
from tests.support.carrier import Conduct
from tests.support.prometheus import Shortened
from tests.support.set_up import SetUp


@contextmanager
def _worker_stands(world: SetUp) -> Iterator[None]:
    """Let it stand once; what was due meanwhile is decided when it goes on."""
    with pulses(world.worker.server.pause, world.worker.server.resume, 40.0, 140.0):
        yield


@contextmanager
def _redis_stands(world: SetUp) -> Iterator[None]:
    world.redis.pause()
    yield
    world.redis.resume()


@contextmanager
def _refuses(world: SetUp) -> Iterator[None]:
    """Let the gateway refuse every tenth message for good."""
    world.carrier.conduct = Conduct(answers=lambda number: 202 if number % 10 else 400)
    yield


_WINDOWS: Final = {"error_ratio_rate": ("5m", "30m", "1h", "2h", "6h", "1d", "3d")}
_VOLUMES: Final = {"events_increase": ("1h", "6h", "1d")}


def _cut(objective: str, **series: Sequence[str]) -> Shortened:
    """Cut the windows of the recorded series of an objective."""
    return {
        f"slo:{objective}:{name}{window}": [(f"[{window}]", "[30s]")]
        for name, windows in series.items()
        for window in windows
    }


# Nothing was bad for half a minute, the start of the processes no more in sight, nor is soon.
_FRESH: Final = """
    max_over_time(slo:freshness:bad[30s]) + (slo:freshness:bad offset 30s) == 0
    and max(rekindle_lag_seconds) < 10
"""
_SLOW: Final = (
    "EventToActionBudgetBurnFast",
    "EventToActionBudgetBurnSlow",
    "EventToActionBudgetBurnTicket",
    "LatenessBudgetBurnFast",
    "LatenessBudgetBurnTicket",
)

FAULTS = (
    Fault(
        "worker-stands",
        "the only worker stood still for forty seconds",
        _SLOW,
        _worker_stands,
        shortened={
            **_cut("event_to_action", **_WINDOWS, **_VOLUMES),
            **_cut("lateness", **_WINDOWS, **_VOLUMES),
        },
        # so few that the worker has nothing to catch up with before it is stopped
        people=6,
        given=well(_SLOW, "slo:event_to_action:events_increase1h > 100"),
        within=180,
    ),
    Fault(
        "redis-stands",
        "Redis stood still for half a minute",
        ("FreshnessBudgetBurnTicket",),
        _redis_stands,
        shortened={
            "FreshnessBudgetBurnTicket": [("offset 6h", "offset 20s")],
            **_cut("freshness", **_WINDOWS),
        },
        people=6,
        given=well(["FreshnessBudgetBurnTicket"], _FRESH),
        within=150,
    ),
    Fault(
        "gateway-refuses-a-tenth",
        "the gateway refused every tenth message",
        ("HandoverBudgetBurnTicket",),
        _refuses,
        carried=True,
        given=well(["HandoverBudgetBurnTicket"], "slo:handover:events_increase1d > 200"),
        within=120,
    ),
)
