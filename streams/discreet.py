"""Keeps persons out of what is logged: nobody who reads a log should learn who shops there.

Our own sentences name partitions, artefacts and services, never a person. What a bug raises is
another matter: the text of a ``KeyError`` is the key, and keys are people here. So of an exception
that nobody has worded for a reader only the type is told, and addresses are blotted out wherever
they turn up.
"""

import logging
import re
import traceback
from types import TracebackType
from typing import Final

from engine.errors import Fenced, InvalidEvent, Refused, Stale, Unavailable

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

BLOT: Final = "<address>"
UNTOLD: Final = "its text is not told: it may name a person"
# Errors whose words are about programs and services. IndexError and its like say nothing of data.
_TOLD: Final = (
    Fenced,
    Refused,
    Stale,
    Unavailable,
    OSError,
    TypeError,
    AttributeError,
    NameError,
    ImportError,
    ArithmeticError,
    IndexError,
    RuntimeError,
    MemoryError,
    SystemExit,
    KeyboardInterrupt,
)
# Errors of these libraries speak of servers too; not imported, for `--help` needs neither.
_LIBRARIES: Final = ("aiokafka", "redis")
# No "://" and no "***" before the @: the address of a service is none of a person.
_MAIL: Final = re.compile(r"(?<![\w/:@*])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE: Final = re.compile(r"(?<!\w)\+\d[\d -]{6,16}\d(?!\w)")


class Discreet(logging.Filter):
    """Puts types in the place of errors that nobody has worded; lets every record through."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; its template stays what it is, for likeness is told by it."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(_argument, record.args))
        elif record.args:
            record.args = {name: _argument(value) for name, value in record.args.items()}
        record.msg = _argument(record.msg)
        if record.name == "asyncio" and isinstance(record.msg, str):
            # what follows holds the repr of a task and of what it raised
            record.msg = record.msg.partition("\n")[0]
        return True


def without_addresses(text: str) -> str:
    """Return a text with e-mail addresses and phone numbers blotted out."""
    if "@" in text:
        text = _MAIL.sub(BLOT, text)
    return _PHONE.sub(BLOT, text) if "+" in text else text


def told(error: BaseException) -> str:
    """Return an exception as it may be logged: with its words only where they were chosen."""
    if isinstance(error, InvalidEvent):  # its text may quote the record
        return f"{type(error).__name__}({error.reason!r})"
    if _worded(error):
        return without_addresses(repr(error))
    return f"{type(error).__name__} ({UNTOLD})"


def _worded(error: BaseException) -> bool:
    """Return whether its words were chosen for a reader; those of UnicodeError hold the data."""
    library = type(error).__module__.partition(".")[0]
    known = isinstance(error, _TOLD) or library in _LIBRARIES
    return known and not isinstance(error, UnicodeError)


def trace(info: ExcInfo) -> str:
    """Return a traceback with every frame, and of each exception what may be told."""
    lines: list[str] = []
    error: BaseException | None = info[1]
    while error is not None:
        frames = "".join(traceback.format_tb(error.__traceback__))
        lines.append(f"{frames}{told(error)}")
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)
    joint = "\n\nwhich led to:\n\n"
    return "Traceback (most recent call last):\n" + joint.join(reversed(lines))


def _argument(value: object) -> object:
    if isinstance(value, BaseException):
        return _Told(value)
    return value


class _Told:
    """Stands for an exception in a message, as text and as repr."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        worded = _worded(self._error) and not isinstance(self._error, InvalidEvent)
        return str(self._error) if worded else told(self._error)

    def __repr__(self) -> str:
        return told(self._error)


def exc_info(record: logging.LogRecord) -> ExcInfo | None:
    """Return what was raised, if a record carries it."""
    info = record.exc_info
    return info if isinstance(info, tuple) and info[1] is not None else None


__all__ = ["Discreet", "exc_info", "told", "trace", "without_addresses"]
