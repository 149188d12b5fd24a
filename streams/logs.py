"""What a process says on stderr: one line per thing that happened, and no chatter of libraries.

As text for people, or as JSON, one object a line, for whatever collects logs. Neither names a
person: see :mod:`streams.discreet`.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import gmtime, monotonic
from typing import Final, Literal, TextIO

import msgspec

from engine.errors import Refused
from streams.discreet import Discreet, exc_info, trace, without_addresses

Form = Literal["text", "json"]

# Ours speak of what a person may want to know; libraries only of what is wrong.
_OURS: Final = ("engine", "rules", "models", "monitoring", "streams")

# Said in the normal course of things and mended by the library itself; by the message's beginning.
_CHATTER: Final = (
    # error 15, at the first start of a new broker: it makes its topic of offsets just then
    "Group Coordinator Request failed",
    # leaders move while topics are created and brokers restart; the producer tries again
    "Got error produce response",
    # the loop's gap is measured (event_loop_gap_seconds), and a slow Redis is said in our words
    "Timer %s is overlapping",
)
# How mode begins what a service says about itself ("[^--Source]: Starting...").
_SERVICE: Final = "[^"
# The same warning of 64 partitions is one line in so many seconds.
_CALM_FOR: Final = 5.0


class Calm(logging.Filter):
    """Lets through what is news: no chatter, and of like warnings one in five seconds."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}
        self._kept_back: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be written; counts what was kept back."""
        template = str(record.msg)
        if _is_refusal(record) or template.startswith(_CHATTER):
            return False
        if template.startswith(_SERVICE) and record.levelno < logging.WARNING:
            return False
        ours = record.name.partition(".")[0] in _OURS
        if record.levelno < logging.WARNING or (ours and record.levelno >= logging.ERROR):
            return True
        return self._is_news((record.name, template), record)

    def _is_news(self, kind: tuple[str, str], record: logging.LogRecord) -> bool:
        now = monotonic()
        if now - self._said.get(kind, -_CALM_FOR) < _CALM_FOR:
            self._kept_back[kind] = self._kept_back.get(kind, 0) + 1
            return False
        self._said[kind] = now
        more = self._kept_back.pop(kind, 0)
        if more:
            record.msg, record.args = f"{record.getMessage()} (and {more} more like it)", None
        return True


def _is_refusal(record: logging.LogRecord) -> bool:
    """Return whether it is a user's mistake with a traceback: its sentence is printed at the end.

    mode logs every crash with the whole trace. Who logs with ``exc_info=False`` leaves just that.
    """
    return isinstance(record.exc_info, tuple) and isinstance(record.exc_info[1], Refused)


class Text(logging.Formatter):
    """One line a record, the time in UTC; a traceback on the lines after it."""

    converter = staticmethod(gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        """Write time, level, logger and message."""
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines."""
        return without_addresses(super().format(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - the library's name
        """Return a traceback without what may name a person."""
        return trace(ei)  # type: ignore[arg-type] # the library's type allows what it never gives


class Json(Text):
    """One JSON object a line: at, level, logger, message, worker; error and trace if any."""

    def __init__(self, worker: str) -> None:
        """``worker``: the id of this process."""
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said: dict[str, object] = {
            "at": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": without_addresses(record.getMessage()),
            "worker": self._worker,
        }
        info = exc_info(record)
        if info is not None:
            said |= {"error": info[0].__name__, "trace": trace(info)}
        return msgspec.json.encode(said).decode()


def set_up(stream: TextIO = sys.stderr, form: Form = "text", worker: str = "") -> None:
    """Log to ``stream`` from now on, in UTC; ``worker``: the id of this process, told in JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Json(worker) if form == "json" else Text())
    handler.addFilter(Discreet())
    handler.addFilter(Calm())
    # aiokafka builds a log record per send and per network frame below WARNING.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)


@contextmanager
def silent(name: str) -> Iterator[None]:
    """Hear nothing of a library meanwhile: whoever calls it says in one sentence what is wrong."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


__all__ = ["Calm", "Form", "Json", "Text", "set_up", "silent"]
