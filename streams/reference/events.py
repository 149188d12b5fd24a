"""docs/reference/events.md: what may stand in the log, and what becomes of an app's messages."""

from typing import Final, get_args

from engine.events import (
    Control,
    Event,
    Line,
    OutcomeType,
    Position,
    SettingsRecord,
    Tick,
    UserEvent,
)
from engine.profile import (
    MAX_CARTS,
    MAX_EVENT_IDS,
    MAX_LINES,
    MAX_ORDERS,
    MAX_SENDS,
    MAX_TRIGGERS,
)
from engine.times import HOUR
from engine.triggers import LATE
from streams.reference.markdown import fields, head, sentence, table, written
from streams.sources import names, reasons
from streams.sources.segment import MAX_BYTES

_COLUMNS: Final = ("field", "type", "default")


def page() -> str:
    """Return the page."""
    lines = head(
        "Events",
        "`engine/events.py` and `streams/sources`",
        "Apps publish Segment messages to their source topic or by HTTP; gateways publish reports "
        "to `feedback`. Intake turns each into one or more records of the log `events`, which only "
        "rekindle writes. This page lists first what a message's name means, then what is refused "
        "or mended on the way, then the records of the log.",
    )
    lines += ["## What the names of track messages mean", ""]
    lines += [
        (
            "Names are read without regard to case, underscores and repeated spaces. A name that "
            "is not in this list is a sign of life (`active`): it is counted, and it is never an "
            "error."
        ),
        "",
    ]
    lines += table(["event of a track message", "record in the log"], _meanings())
    lines += [
        (
            "A report with the property `action_id` of one of our actions is an `outcome` of it. "
            "Without one, the names marked with * say that another system spoke to her "
            "(`sent_elsewhere`, which the caps count), and those that refuse take her consent on "
            "that channel back."
        ),
        "",
    ]
    lines += table(["report", "channel", "outcome"], _reports())
    lines += ["## Why a record is refused", ""]
    lines += [
        (
            "A refused record goes to the topic `dead-letters` with one of these reasons; the "
            f"others go on. A message may have {MAX_BYTES // 1024} KiB."
        ),
        "",
    ]
    lines += table(["reason", "meaning"], _rows(reasons.INVALID))
    lines += ["## What is mended and counted", ""]
    lines += table(["name", "meaning"], _rows(reasons.MENDED))
    lines += ["## Records of the log", "", *_log()]
    return written(lines)


def _meanings() -> list[list[str]]:
    spelled: dict[str, list[str]] = {}
    for name, meaning in names.MEANINGS.items():
        spelled.setdefault(meaning, []).append(_spelled(name))
    return [[", ".join(told), f"`{meaning}`"] for meaning, told in spelled.items()]


def _spelled(name: str) -> str:
    return name.title().replace("Sms", "SMS")


def _reports() -> list[list[str]]:
    return [
        [_spelled(name) + " *" * (name in names.SPOKEN), channel, outcome]
        for name, (channel, outcome) in names.REPORTS.items()
    ]


def _rows(meanings: dict[str, str]) -> list[list[str]]:
    return [[f"`{name}`", meaning] for name, meaning in meanings.items()]


def _log() -> list[str]:
    lines = [
        (
            "JSON, tagged by `type`; times are milliseconds since 1970 in UTC. `occurred_at` is "
            "the event's own time, `received_at` the time it reached Kafka. Fields that hold "
            "their default are left out, unknown ones are ignored."
        ),
        "",
        (
            f"Of one person are remembered: {MAX_CARTS} carts of {MAX_LINES} lines, {MAX_ORDERS} "
            f"orders, {MAX_TRIGGERS} armed triggers, {MAX_SENDS} sends and the ids of her last "
            f"{MAX_EVENT_IDS} events; beyond that the oldest gives way and is counted. An event "
            f"more than {LATE // HOUR} hours late, or imported as history, is remembered and arms "
            "nothing."
        ),
        "",
        "### Every event",
        "",
        *table(_COLUMNS, [["`type`", "which event it is", "always there"], *fields(UserEvent)]),
    ]
    shared = {row[0] for row in fields(UserEvent)}
    for kind in get_args(Event):
        lines += [f"### {kind.__struct_config__.tag}", "", sentence(kind), ""]
        own = [row for row in fields(kind) if row[0] not in shared]
        lines += table(_COLUMNS, own) if own else []
    lines += [f"Outcomes: {', '.join(f'`{name}`' for name in get_args(OutcomeType))}.", ""]
    for kind in (Tick, SettingsRecord):
        lines += [f"### {kind.__struct_config__.tag}", "", sentence(kind), ""]
        lines += table(_COLUMNS, fields(kind))
    lines += [f"### {Control.__name__}", "", sentence(Control), ""]
    lines += table(_COLUMNS, fields(Control))
    for part in (Line, Position):
        lines += [f"### {part.__name__}", "", f"{sentence(part)} Written as a list, in order.", ""]
        lines += table(_COLUMNS, fields(part))
    return lines


__all__ = ["page"]
