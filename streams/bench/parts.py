"""Which part of the work a moment of CPU belongs to, told from the functions on the stack.

The innermost function that is named here decides; what nobody names is the event loop's own work
(sockets, tasks, timers) or, outside it, "other". "The step itself" is the walk between the parts,
and the freeing of what a chunk held.
"""

from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Final

CONSUME: Final = "consume"
DECODE: Final = "decode"
LOAD: Final = "load"
FOLD: Final = "fold"
ARM: Final = "arm"
SCORE: Final = "features + score"
DECIDE: Final = "decide"
RENDER: Final = "render"
COMMIT: Final = "commit"
PRODUCE: Final = "produce"
WIRE: Final = "Kafka connection"
WATCH: Final = "metrics"
STEP: Final = "the step itself"
LOOP: Final = "event loop"
OTHER: Final = "other"

# In the order a record goes through them.
ORDER: Final = (
    CONSUME, DECODE, LOAD, FOLD, ARM, SCORE, DECIDE, RENDER, COMMIT, PRODUCE, WIRE, WATCH, STEP,
    LOOP, OTHER,
)  # fmt: skip

# (part of the file's name, part of the function's qualified name; "" = every function there).
# The first that fits counts, so functions stand before the files they are in.
_PLACES: Final = (
    ("streams/agents/decide.py", "DecideLane._read", DECODE),
    ("streams/agents/decide.py", "_crc", DECODE),
    ("streams/agents/decide.py", "DecideLane._let_out", PRODUCE),
    ("streams/agents/intake.py", "IntakeLane._parse", DECODE),
    ("streams/agents/intake.py", "IntakeLane.step", PRODUCE),
    ("streams/agents/decide.py", "", STEP),
    ("streams/agents/intake.py", "", STEP),
    ("streams/log/codec.py", "", DECODE),
    ("streams/sources/", "", DECODE),
    ("streams/log/source.py", "Source._fetch", CONSUME),
    ("streams/log/source.py", "Source._pump", CONSUME),
    ("streams/log/source.py", "", STEP),
    ("streams/state/store.py", "RedisStore.load", LOAD),
    ("streams/state/store.py", "RedisStore.due", LOAD),
    ("streams/state/store.py", "RedisStore.commit", COMMIT),
    ("streams/state/store.py", "_packed", COMMIT),
    ("streams/state/lanes.py", "IntakeLanes.save", COMMIT),
    ("engine/pipeline.py", "Step.load", LOAD),
    ("engine/pipeline.py", "Step.commit", COMMIT),
    ("engine/pipeline.py", "Step.fresh_events", FOLD),
    ("engine/pipeline.py", "Step.events", FOLD),
    ("engine/pipeline.py", "Step._changed", ARM),
    ("engine/pipeline.py", "Step.", DECIDE),
    ("engine/pipeline.py", "", STEP),
    ("engine/fold.py", "", FOLD),
    ("engine/carts.py", "", FOLD),
    ("engine/orders.py", "", FOLD),
    ("engine/triggers.py", "", ARM),
    ("rules/triggers/", "", ARM),
    ("models/", "", SCORE),
    ("engine/decisions.py", "", DECIDE),
    ("engine/actions.py", "", DECIDE),
    ("streams/delivery/renderer.py", "", RENDER),
    ("streams/log/outbox.py", "", PRODUCE),
    ("streams/log/producer.py", "", PRODUCE),
    ("streams/watch.py", "", WATCH),
    ("monitoring/", "", WATCH),
    ("aiokafka/producer/", "", PRODUCE),
    ("aiokafka/consumer/", "", CONSUME),
    ("aiokafka/", "", WIRE),
    ("asyncio/", "", LOOP),
    ("selectors.py", "", LOOP),
    ("mode/", "", LOOP),
)

_known: dict[CodeType, str | None] = {}


def part_of(frame: FrameType | None) -> str:
    """Return the part of the innermost named function of a stack."""
    loop = False
    while frame is not None:
        code = frame.f_code
        if code not in _known:
            _known[code] = named(code.co_filename, code.co_qualname)
        part = _known[code]
        if part == LOOP:
            # Under it may stand the one for whom the loop works, as in a call of the Redis client.
            loop = True
        elif part is not None:
            return part
        frame = frame.f_back
    return LOOP if loop else OTHER


def named(file: str, function: str) -> str | None:
    """Return the part of a function, None = it says nothing."""
    for place, name, part in _PLACES:
        if place in file and name in function:
            return part
    return None


def places() -> list[tuple[str, str]]:
    """Return the (file, function) pairs that are told apart."""
    return [(place, name) for place, name, _ in _PLACES]


def per_event(samples: Mapping[str, int], us_per_event: float) -> dict[str, float]:
    """Share the worker's CPU per event (µs) out over the parts; they add up to it."""
    total = sum(samples.values())
    return {
        part: round(us_per_event * samples[part] / total, 2) for part in ORDER if samples.get(part)
    }


__all__ = ["ORDER", "named", "part_of", "per_event", "places"]
