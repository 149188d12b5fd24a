"""Faults of the hand-over and of what providers report, and pauses that nobody lifts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID

from tests.faults.alerts.trial import Fault
from tests.support.carrier import Conduct
from tests.support.set_up import SetUp

# Messages that wait for a gateway grow old at once; and so few come that none grows old without it.
_SHORT_LIVED = {f'deliver_within = "{hours}"': 'deliver_within = "20s"' for hours in ("2h", "12h")}
_FEW = 6


def _behaving(**conduct: Any) -> Callable[[SetUp], AbstractContextManager[None]]:
    """Return the fault of a provider that behaves so from now on."""

    @contextmanager
    def breaks(world: SetUp) -> Iterator[None]:
        world.carrier.conduct = Conduct(**conduct)
        yield

    return breaks


def _of_others(number: int, action: str) -> Sequence[tuple[str, str]]:
    """Return its report, and of every fifth one of a message that another shop sent."""
    own = [(action, "delivered")]
    return [*own, (str(UUID(int=number)), "delivered")] if number % 5 == 0 else own


def _bought(number: int, action: str) -> Sequence[tuple[str, str]]:
    """Return what becomes of a message to an address that its owner never gave."""
    if number % 8 == 0:
        return [(action, "bounced")]
    told = [(action, "delivered")]
    if number % 8 == 1:
        told.append((action, "complained"))
    if number % 4 == 2:
        told.append((action, "unsubscribed"))
    return told


@contextmanager
def _paused(world: SetUp) -> Iterator[None]:
    code, said = world.shop.rekindle("pause", "sms", "--reason", "the provider moves")
    assert code == 0, said
    yield


FAULTS: tuple[Fault, ...] = (
    Fault(
        "gateway-rejecting",
        "a gateway rejected every tenth message (422)",
        ("GatewayRejecting",),
        _behaving(answers=lambda number: 422 if number % 10 == 0 else 202),
        within=180.0,
        carried=True,
    ),
    Fault(
        "gateway-hanging-up",
        "a gateway took every call and hung up without an answer",
        ("ActionsExpired", "HandoversUnknown"),
        _behaving(answers=lambda _: None),
        within=180.0,
        carried=True,
        people=_FEW,
        replace=_SHORT_LIVED,
    ),
    Fault(
        "receipts-lost",
        "a provider stopped reporting what became of messages",
        ("ReceiptsMissing",),
        _behaving(reports=lambda _, __: []),
        # what it took in the last two minutes may still be on its way through a closed minute
        shortened={"ReceiptsMissing": (("[6h] offset 1h", "[6h] offset 2m"),)},
        within=300.0,
        carried=True,
    ),
    Fault(
        "receipts-of-others",
        "a provider reported to us what became of another shop's messages",
        ("ReceiptsUnmatched",),
        _behaving(reports=_of_others),
        within=240.0,
        carried=True,
    ),
    Fault(
        "bought-addresses",
        "messages went to bought addresses: of eight one bounced, one was called spam, "
        "two led to an opt-out",
        (
            "ComplaintCritical",
            "ComplaintHigh",
            "HardBounceCritical",
            "HardBounceHigh",
            "PausedByMachine",
            "UnsubscribeHigh",
        ),
        _behaving(reports=_bought),
        # a brake stops the channel before a thousand are delivered
        shortened=dict.fromkeys(("ComplaintHigh", "ComplaintCritical"), (("> 1000", "> 200"),)),
        within=240.0,
        carried=True,
    ),
    Fault(
        "pause-forgotten",
        "an operator paused a channel and did not come back",
        ("OverrideLeftOn",),
        _paused,
        shoppers=False,
    ),
)
