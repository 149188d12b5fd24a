"""A shop whose lots are the engine's own and whose true odds ratios are known, by seed.

Rich carts are bought more and are the ones spoken to, dear channels first; the poor are left alone.
Who compares them without asking for the lots finds that every message helps enormously.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from engine import decisions as log
from engine import events as ev
from engine.policy import Exploration, Holdout
from engine.profile import Profile
from engine.times import DAY, HOUR, iso
from models.features import SCHEMA_HASH, as_dict, vector
from models.training.labels import Floats, Labelled, label
from tests.unit.models.shop import CAMPAIGN, LOCAL, NOW, POLICY, ask
from tests.unit.models.world import WINDOWS

KIND = "cart_abandonment"
ASSUMED = CAMPAIGN.lift["push"]
_FEATURES = as_dict(vector(ask(Profile()), None, LOCAL))


@dataclass(frozen=True)
class Lots:
    """What was decided and ordered; ``foretold``: true log-odds without a message, in order."""

    decisions: list[bytes]
    events: list[ev.Event]
    foretold: Floats

    def labelled(self, decisions: list[bytes] | None = None) -> Labelled:
        return label(self.decisions if decisions is None else decisions, self.events, WINDOWS)


def lots(
    rows: int,
    odds: Mapping[str, float],
    *,
    seed: int,
    explored: float = 0.3,
    withheld: float = 0.1,
    base: float = -3.2,
    mode: str = "live",
) -> Lots:
    """Draw ``rows`` decisions over 60 days, about five a person."""
    policy = msgspec.structs.replace(
        POLICY,
        holdout=Holdout(share=withheld, epoch=f"epoch-{seed}"),
        exploration=Exploration(share=explored, channels=CAMPAIGN.channels),
    )
    case = replace(ask(Profile()), policy=policy)
    draw = np.random.default_rng(seed)
    decisions: list[bytes] = []
    events: list[ev.Event] = []
    foretold = np.empty(rows)
    for number in range(rows):
        at, user = NOW + number * 60 * DAY // rows, f"u-{draw.integers(max(rows // 5, 1))}"
        value = round(float(draw.lognormal(5, 0.7)), 2)
        foretold[number] = base + 1.1 * min(value / 150, 3)
        worth = {
            "push": 0.01 * value - 0.8,
            "email": 0.011 * value - 1.0,
            "sms": 0.02 * value - 4.0,
        }
        lift = dict.fromkeys(worth, ASSUMED)
        weighed = log.Weighed(case, {}, None, lift, dict.fromkeys(worth, 0.0), worth, value)
        choice = log.choose(weighed, f"d-{seed}-{number}")
        outcome, reason = _verdict(choice, mode, held=log.in_holdout(policy, user))
        decisions.append(
            log.encode(
                log.Decision(
                    decision_id=f"d-{seed}-{number}",
                    pos=f"{number}.1",
                    at=iso(at),
                    user_id=user,
                    campaign="cart",
                    campaign_version=1,
                    trigger=log.DecisionTrigger(
                        kind=KIND, key="c-1", episode="e-1", armed_at=iso(at), due_at=iso(at)
                    ),
                    attempt=0,
                    outcome=outcome,
                    reason=reason,
                    channel=choice.channel,
                    currency="CNY",
                    channels={
                        name: log.ChannelView(
                            p0=0.1,
                            lift=ASSUMED,
                            uplift=0.0,
                            worth=worth[name],
                            propensity=choice.propensities.get(name, 0.0),
                        )
                        for name in worth
                    },
                    none_propensity=choice.propensities[None],
                    draw=choice.draw,
                    explored=choice.explored,
                    withheld=reason.startswith("would_send"),
                    features=_FEATURES | {"cart_value": value},
                    schema_hash=SCHEMA_HASH,
                    settings_hash=mode,
                )
            )
        )
        effect = np.log(odds[choice.channel]) if outcome == "send" and choice.channel else 0.0
        if draw.random() < 1 / (1 + np.exp(-foretold[number] - effect)):
            events.append(_order(f"o-{seed}-{number}", user, at + HOUR))
    events.append(_order("the end", "somebody else", NOW + 90 * DAY))
    return Lots(decisions, events, foretold)


def drawn(
    rows: int,
    odds: Mapping[str, float],
    *,
    seed: int,
    explored: float = 0.3,
    withheld: float = 0.1,
    base: float = -3.2,
    frailty: float = 0.7,
) -> tuple[Labelled, Floats]:
    """Draw the same shop as finished rows, a hundred times as fast; return them and ``foretold``.

    ``frailty``: sd in log-odds of how much more one person orders than another, known to nobody.
    """
    chance = np.random.default_rng(seed)
    people = max(rows // 5, 1)
    user = chance.integers(people, size=rows)
    value = chance.lognormal(5, 0.7, rows)
    foretold = base + 1.1 * np.minimum(value / 150, 3)
    worth = np.column_stack(
        (np.zeros(rows), 0.01 * value - 0.8, 0.011 * value - 1.0, 0.02 * value - 4.0)
    )
    propensity = np.full(worth.shape, explored / 4)
    propensity[np.arange(rows), worth.argmax(axis=1)] += 1 - explored
    lot = chance.random(rows)[:, None]
    chosen = np.minimum((lot >= propensity.cumsum(axis=1)).sum(axis=1), 3)
    held = (chance.random(people) < withheld)[user]
    done = np.where(held, 0, chosen)
    effect = np.log([1.0, *(odds[channel] for channel in CAMPAIGN.channels)])[done]
    hers = frailty * chance.normal(size=people)[user]
    labelled = Labelled(
        vectors=np.empty((rows, 0)),
        converted=chance.random(rows) < 1 / (1 + np.exp(-foretold - effect - hers)),
        at=np.arange(rows),
        window=np.ones(rows, dtype=np.int64),
        kind=np.zeros(rows, dtype=np.int64),
        user=user,
        sent=done > 0,
        done=done,
        withheld=held & (chosen > 0),
        silence=propensity[:, 0],
        chance=propensity[:, 1:],
        assumed=np.full((rows, 3), ASSUMED),
        channels=CAMPAIGN.channels,
        kinds=(KIND,),
        users=tuple(f"u-{number}" for number in range(people)),
        until=rows,
        left_out={},
        mean_order=None,
        currency="CNY",
    )
    return labelled, foretold


def _verdict(choice: log.Choice, mode: str, *, held: bool) -> tuple[log.Result, str]:
    """Return outcome and reason in the order in which the engine judges."""
    if choice.channel is None:
        return "suppress", "explored_none" if choice.explored else "not_worth_it"
    if held:
        return "suppress", "would_send_holdout"
    return ("suppress", "would_send_dry_run") if mode == "dry_run" else ("send", "sent")


def _order(order: str, user: str, at: int) -> ev.OrderCompleted:
    return ev.OrderCompleted(
        event_id=order,
        user_id=user,
        occurred_at=at,
        received_at=at,
        order_id=order,
        total=100.0,
        currency="CNY",
    )
