"""What `apply`, `pause` and `sources reset` check before they touch the log."""

from pathlib import Path
from time import time

from msgspec import Struct

from engine.errors import Refused
from models import scorer
from models.registry import Registry
from rules import campaigns as campaigns_files
from rules import templates as words
from rules.zones import ZONES
from streams import campaigns_file, control
from streams.delivery.lint import lint
from streams.log.reader import Reader
from streams.log.topics import ARTEFACTS, CHANNELS, FEEDBACK
from streams.settings import Deployment
from streams.state.connection import RedisConnection
from streams.state.lanes import IntakeLanes


class PutInForce(Struct, frozen=True):
    """What was put in force, by sha256; ``summary`` of the campaigns file."""

    partitions: int
    campaigns: str | None
    templates: str | None
    model: str | None
    summary: str


async def put_in_force(
    deployment: Deployment,
    *,
    campaigns: tuple[str, bytes] | None = None,
    templates: Path | None = None,
    model: str | None = None,
) -> PutInForce:
    """Check what is named and put it in force; raises Refused, one line per problem.

    Nothing named: the shipped campaigns file and templates. A campaigns file without templates
    brings the shipped ones only if none were ever applied: it must not take your own away.
    """
    nothing = campaigns is None and templates is None and model is None
    if nothing:
        campaigns = ("rules/campaigns.toml", campaigns_files.shipped())
    if campaigns is not None:
        campaigns_files.load(campaigns[1], campaigns[0])  # its mistakes, before Kafka is asked
    content = None
    applied_words = None
    if templates is None and campaigns is not None and not nothing:
        applied_words = await _last_words(deployment)
    if templates is not None or (campaigns is not None and applied_words is None):
        content = words.artefact(templates)
    said = ""
    if campaigns is not None:
        name, text = campaigns
        policy = campaigns_file.checked(text, name, content or applied_words or words.artefact())
        said = campaigns_file.summary(policy)
    elif content is not None and (problems := lint(content)):
        raise Refused("\n".join(problems))
    artefact = None if model is None else _model(deployment, model, campaigns)
    done = await control.apply(
        deployment,
        campaigns=campaigns[1] if campaigns else None,
        templates=content,
        model=artefact,
    )
    return PutInForce(done.partitions, done.campaigns, done.templates, done.model, said)


async def applied_before(deployment: Deployment) -> bool:
    """Return whether any artefact was ever put in force on this Kafka; raises Unavailable."""
    reader = Reader(deployment.kafka, fetch_wait_ms=deployment.fetch_wait)
    try:
        begin, end = await reader.bounds(deployment.topic_prefix + ARTEFACTS, 0)
    finally:
        await reader.stop()
    return end > begin


async def _last_words(deployment: Deployment) -> bytes | None:
    """Return the template set applied last, if any ever was."""
    reader, last = Reader(deployment.kafka), None
    try:
        async for record in reader.whole(deployment.topic_prefix + ARTEFACTS):
            if record.value is not None and _is_words(record.value):
                last = record.value
    finally:
        await reader.stop()
    return last


def _is_words(content: bytes) -> bool:
    try:
        words.read(content)
    except Refused:
        return False
    return True


def _model(deployment: Deployment, named: str, campaigns: tuple[str, bytes] | None) -> bytes:
    """Return a model's artefact, checked as the worker will; from the registry or a file.

    Whether the file in force allows a simulated one is judged by the worker, which knows it.
    """
    path = Path(named)
    artefact = path.read_bytes() if path.is_file() else Registry(deployment.models).load(named)
    allowed = True
    if campaigns is not None:
        allowed = campaigns_files.load(campaigns[1], campaigns[0]).allow_simulated_model
    scorer.build(artefact, allow_simulated=allowed, local=ZONES, today=int(time() * 1000))
    return artefact


def pause_name(name: str) -> str:
    """Return the full name of what is paused: ``channel:sms``, ``campaign:cart``."""
    kind, colon, rest = name.partition(":")
    if colon:
        if kind not in ("channel", "campaign") or not rest:
            message = f"{name!r} names nothing: write channel:sms or campaign:cart."
            raise Refused(message)
        if kind == "channel" and rest not in CHANNELS:
            message = f"There is no channel {rest!r}: there are {', '.join(CHANNELS)}."
            raise Refused(message)
        return name
    return f"channel:{name}" if name in CHANNELS else f"campaign:{name}"


async def reset_source(deployment: Deployment, topic: str) -> int:
    """Begin a new generation of a source topic and return it; raises Refused, Unavailable."""
    names = [source.topic for source in deployment.sources]
    names.append(deployment.topic_prefix + FEEDBACK)
    if topic not in names:
        message = f"{topic} is no source; REKINDLE_SOURCES names {', '.join(names)}."
        raise Refused(message)
    redis = RedisConnection(deployment.redis)
    try:
        return await IntakeLanes(redis).reset(topic)
    finally:
        await redis.close()
