"""A world whose truth is known: decisions and orders drawn from stated chances, by seed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from engine import events as ev
from engine.profile import Profile
from engine.times import DAY, HOUR
from models.features import as_dict, vector
from models.training.train import train
from tests.unit.models.shop import LOCAL, NOW, ask, decided

WINDOWS: Mapping[str, int] = {"cart": DAY}


@dataclass(frozen=True)
class World:
    """What was decided and what happened; ``chance`` is the true one of every decision in order."""

    decisions: list[bytes]
    events: list[ev.Event]
    chance: list[float]
    converted: list[bool]


def world(
    rows: int, *, seed: int = 1, people: int = 3_000, kind: str = "cart_abandonment"
) -> World:
    """Draw ``rows`` decisions over 60 days; carts of much worth and much seen are bought more."""
    draw = np.random.default_rng(seed)
    blank = as_dict(vector(ask(Profile(), kind=kind), None, LOCAL))
    decisions: list[bytes] = []
    events: list[ev.Event] = []
    chances: list[float] = []
    outcomes: list[bool] = []
    for number in range(rows):
        at = NOW + number * 60 * DAY // rows
        user = f"u-{draw.integers(people)}"
        value = round(float(draw.lognormal(5, 0.6)), 2)
        views = round(float(draw.exponential(3)), 6)
        orders = float(draw.poisson(0.7))
        logit = -2.6 + 0.8 * min(value / 150, 3) + 0.3 * min(views, 5) + 0.5 * min(orders, 3)
        chance = 1 / (1 + float(np.exp(-logit)))
        features = blank | {"cart_value": value, "views_1d": views, "orders_known": orders}
        sent = number % 3 == 0
        decisions.append(
            decided(
                number,
                at,
                features,
                user=user,
                kind=kind,
                outcome="send" if sent else "suppress",
                reason="sent" if sent else "not_worth_it",
                channel="push" if sent else None,
            )
        )
        converted = bool(draw.random() < chance)
        chances.append(chance)
        outcomes.append(converted)
        if converted:
            events.append(_order(number, user, at + HOUR))
    events.append(_order(rows, "somebody else", NOW + 90 * DAY))
    return World(decisions, events, chances, outcomes)


def _order(number: int, user: str, at: int) -> ev.OrderCompleted:
    return ev.OrderCompleted(
        event_id=f"o-{number}",
        user_id=user,
        occurred_at=at,
        received_at=at,
        order_id=f"o-{number}",
        total=100.0,
        currency="CNY",
    )


def trained(
    drawn: World, *, seed: int = 7, version: str = "v1", without: Collection[str] = ()
) -> bytes:
    """Train on a world, as ``rekindle train`` would."""
    return train(
        drawn.decisions,
        drawn.events,
        WINDOWS,
        name="order",
        version=version,
        created_at=NOW + 90 * DAY,
        provenance="simulator",
        seed=seed,
        without=without,
    )
