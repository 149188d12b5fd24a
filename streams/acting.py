"""An operator's wish carried out: named in full, timed by the shop's clock, told in a sentence."""

from typing import Any, NamedTuple

from engine import controls
from engine.errors import Refused
from engine.events import Control
from streams.applying import pause_name
from streams.control import Acted, act
from streams.log.producer import Producer
from streams.log.topics import EVENTS
from streams.sentence import done_word, held_to, target_name
from streams.settings import Deployment
from streams.standing import change, now_of
from streams.state.connection import RedisConnection


class Wish(NamedTuple):
    """What somebody asks for: ``action`` on the channel or campaign ``name``; ``lasts`` ms."""

    action: str
    name: str
    by: str
    reason: str = ""
    share: float = 1.0
    lasts: int | None = None


async def carry_out(deployment: Deployment, wish: Wish) -> Acted:
    """Do it; raises Refused for what makes no sense, and Unavailable."""
    target, at = pause_name(wish.name), await _now(deployment)
    if wish.lasts is not None and not at:
        message = "No data has told the time yet, so nothing can end by itself: leave out --for."
        raise Refused(message)
    return await act(deployment, _control(wish, target, at))


async def _now(deployment: Deployment) -> int:
    """Return the shop's time; a live shop's is known without asking anybody."""
    redis, producer = RedisConnection(deployment.redis), Producer(deployment.kafka)
    try:
        live = deployment.clock == "live"
        count = 0 if live else await producer.partitions(deployment.topic_prefix + EVENTS)
        return await now_of(deployment, redis, count)
    finally:
        await producer.stop()
        await redis.close()


def _control(wish: Wish, target: str, at: int) -> Control:
    actor = controls.operator(wish.by)
    until = None if wish.lasts is None else at + wish.lasts
    match wish.action:
        case "pause":
            return controls.pause(target, actor=actor, at=at, reason=wish.reason, expires_at=until)
        case "resume":
            return controls.resume(target, actor=actor, at=at, reason=wish.reason)
        case "throttle":
            return controls.throttle(
                target, wish.share, actor=actor, at=at, reason=wish.reason, expires_at=until
            )
    message = f"{wish.action!r} is nothing that can be done: pause, resume or throttle."
    raise Refused(message)


def as_told(done: Acted) -> dict[str, Any]:
    """Return what was done as the commands print it as JSON."""
    control = done.control
    return {
        "name": control.target,
        "paused": control.action == "pause",
        "partitions": done.partitions,
        "at_handover": done.at_handover,
        "control": change(control),
    }


def sentence(done: Acted) -> str:
    """Return what was done in one or two sentences."""
    control, name = done.control, done.control.target
    word = done_word(control.action, control.after)
    said = f"{name} {word} in {done.partitions} partitions"
    if control.action == "pause":
        said += ", at hand-over at once" if done.at_handover else " (Redis is away, so it waits)"
    if control.action == "resume" and control.after is not None and 0 < control.after < 1:
        said += (
            f"; {target_name(name)} is still {held_to(control.after)}: "
            f"rekindle throttle {name.partition(':')[2]} 1 lifts that"
        )
    return said


__all__ = ["Wish", "as_told", "carry_out", "sentence"]
