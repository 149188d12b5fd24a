"""People whose vectors are pinned; rewrites golden_vectors.json when run as a program.

.venv/bin/python -m tests.unit.models.golden_cases
"""

from pathlib import Path
from typing import Any

import msgspec

from engine import events as ev
from engine.ports import Case
from engine.profile import Profile
from engine.times import DAY, HOUR, MINUTE
from models.features import SCHEMA_HASH, as_dict, vector
from tests.unit.models.shop import LOCAL, NOW, SHANGHAI, ask, line, remember, told

PATH = Path(__file__).with_name("golden_vectors.json")


def _browser() -> Case:
    seen = [
        told(ev.ProductViewed, NOW - 3 * HOUR + n * MINUTE, f"v-{n}", product_id="p")
        for n in range(7)
    ]
    return ask(remember(seen), key="nothing")


def _with_cart() -> Case:
    events = [
        told(ev.Identified, NOW - 40 * DAY, "i", zones=[SHANGHAI], locale="zh-CN"),
        told(ev.ProductViewed, NOW - 2 * HOUR, "v", product_id="p-1"),
        told(ev.Searched, NOW - 2 * HOUR, "s"),
        told(ev.ProductAdded, NOW - 90 * MINUTE, "a", cart_id="c-1", line=line("p-1", 99.5, 2)),
        told(ev.ProductAdded, NOW - 80 * MINUTE, "b", cart_id="c-1", line=line("p-2", 10.0)),
        told(ev.CheckoutStarted, NOW - 61 * MINUTE, "k", cart_id="c-1", checkout_id="k-1"),
    ]
    return ask(remember(events))


def _without_prices() -> Case:
    added = told(ev.ProductAdded, NOW - HOUR, "a", cart_id="c-1", line=line("p-1", None))
    return ask(remember([added]))


def _loyal() -> Case:
    events = [
        told(
            ev.OrderCompleted,
            NOW - age * DAY,
            f"o-{age}",
            order_id=f"o-{age}",
            lines=[line("p", 50.0)],
            total=50.0 + age,
            currency="CNY",
        )
        for age in (97, 71, 33, 7)
    ]
    events += [
        told(ev.OrderRefunded, NOW - 60 * DAY, "r", order_id="o-71"),
        told(ev.OrderDelivered, NOW - 5 * DAY, "d", order_id="o-7"),
    ]
    return ask(remember(events), kind="post_purchase_7d", key="o-7")


def _spoken_to() -> Case:
    events: list[ev.Event] = [told(ev.Active, NOW - 20 * DAY, "s")]
    reports = (("accepted", "opened"), ("accepted", "delivered"), ("accepted",), ("rejected",))
    for age, outcomes in zip((6, 4, 2, 1), reports, strict=True):
        channel = "sms" if age == 2 else "push"
        at, action = NOW - age * DAY + HOUR, f"a-{age}"
        events.append(
            told(ev.ActionQueued, at, action, action_id=action, campaign="cart", channel=channel)
        )
        events += [
            told(
                ev.Outcome,
                at + 5 * MINUTE,
                f"{action}-{outcome}",
                action_id=action,
                channel=channel,
                outcome=outcome,
            )
            for outcome in outcomes
        ]
    return ask(remember(events), kind="post_purchase_30d", key="o-1")


def _seen_in_the_future() -> Case:
    case = _with_cart()
    remember([told(ev.ProductViewed, NOW + 1, "later", product_id="p-9")], case.profile)
    return case


def cases() -> dict[str, Case]:
    return {
        "nobody": ask(Profile()),
        "browser": _browser(),
        "with_cart": _with_cart(),
        "without_prices": _without_prices(),
        "loyal": _loyal(),
        "spoken_to": _spoken_to(),
        "seen_in_the_future": _seen_in_the_future(),
    }


def golden() -> dict[str, Any]:
    """Return what the file should hold."""
    vectors = {name: as_dict(vector(case, None, LOCAL)) for name, case in cases().items()}
    return {"schema_hash": SCHEMA_HASH, "vectors": vectors}


if __name__ == "__main__":
    PATH.write_bytes(msgspec.json.format(msgspec.json.encode(golden()), indent=1) + b"\n")
    print(f"wrote {PATH}")
