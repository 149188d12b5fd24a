"""What a due reason to speak passes on its way to a person, and where it may fall silent."""

import ast
import sys
from pathlib import Path
from typing import Final, NamedTuple

from engine import reasons
from engine.ports import Guard, Objection
from rules import GUARDS
from streams.reference.decisions import WORTH, guard_name
from streams.reference.markdown import plain
from streams.reference.pictures.canvas import MARGIN, WIDTH, Canvas, Role, wrapped


class Stage(NamedTuple):
    """One step; ``silent``: the reasons with which it may end here, or be held (``may_hold``)."""

    name: str
    asks: str
    silent: tuple[str, ...] = ()
    may_hold: bool = False


# Its last bracket stays on one line.
_WORTH: Final = WORTH.replace(" + ", "\N{NO-BREAK SPACE}+\N{NO-BREAK SPACE}")

BEFORE: Final = (
    Stage(
        "reason holds",
        "The cart still holds something; the order stands and is the newest. Events end it too.",
        (*reasons.ENDED, "campaign_removed"),
    ),
)
AFTER: Final = (
    Stage("score", "How likely is her order without us: the model in force, else the prior."),
    Stage("worth", f"{_WORTH}, for each channel that is left."),
    Stage(
        "rank",
        "Of several due together, the one worth most is decided first; the others are asked anew.",
        ("outranked",),
        may_hold=True,
    ),
    Stage(
        "choice",
        "The channel worth most, if above 0; in a share of decisions a lot chooses.",
        ("not_worth_it", "explored_none"),
    ),
    Stage("words", "The template is filled in.", ("template_failed",)),
    Stage("holdout", "A share of people hears nothing, until a new epoch.", (reasons.SAID[1],)),
    Stage("dry run", "Nothing leaves before the operator says live.", (reasons.SAID[2],)),
)


def stages() -> list[Stage]:
    """Return the steps in the order in which they are taken, the guards as the rules have them."""
    return [*BEFORE, *map(_of_guard, GUARDS), *AFTER]


def _of_guard(guard: Guard) -> Stage:
    return Stage(guard_name(guard), _motto(guard), reasons_of(guard), may_hold(guard))


def _motto(guard: Guard) -> str:
    """Return what the guard is for: the first paragraph of its module."""
    first, *_ = (sys.modules[type(guard).__module__].__doc__ or "").split("\n\n")
    return plain(first)


def reasons_of(guard: Guard) -> tuple[str, ...]:
    """Return the reasons a guard may give, as they stand in its source."""
    said = [node.value for node in ast.walk(_source(guard)) if isinstance(node, ast.Constant)]
    found = [text for text in said if isinstance(text, str)]
    named = [text for text in found if text in reasons.REASONS]
    if reasons.CAP in found:
        named.append(f"{reasons.CAP}<name>")
    return tuple(dict.fromkeys(named))


def may_hold(guard: Guard) -> bool:
    """Return whether an objection of this guard may end by itself: one that says until when."""
    calls = [node for node in ast.walk(_source(guard)) if isinstance(node, ast.Call)]
    objections = [call for call in calls if ast.unparse(call.func) == Objection.__name__]
    return any(
        len(call.args) > 1 or any(keyword.arg == "until" for keyword in call.keywords)
        for call in objections
    )


def _source(guard: Guard) -> ast.Module:
    path = sys.modules[type(guard).__module__].__file__
    assert path is not None
    return ast.parse(Path(path).read_text("utf-8"))


_NAME: Final = MARGIN + 74
_ASKS: Final = _NAME + 122
_SILENT: Final = WIDTH - MARGIN
_ROOM: Final = 300.0
_SIZE: Final = 12
_SMALL: Final = 11


def picture() -> str:
    """Return the picture."""
    found = stages()
    canvas = Canvas(
        "From a due reason to a message",
        "Top to bottom: " + ", ".join(stage.name for stage in found) + ", sent. At each step it "
        "may fall silent, with a reason that is recorded.",
    )
    canvas.text(_NAME, MARGIN + 10, "asked, in this order", bold=True, size=12.5)
    canvas.text(_SILENT, MARGIN + 10, "else silent, because", bold=True, size=12.5, anchor="end")
    top = MARGIN + 22.0
    tops = [top]
    rows = [_row(stage) for stage in found]
    for _, _, height in rows:
        tops.append(tops[-1] + height)
    _funnel(canvas, tops)
    for number, (stage, (asks, silent, height)) in enumerate(zip(found, rows, strict=True)):
        y = tops[number]
        guard = len(BEFORE) <= number < len(BEFORE) + len(GUARDS)
        if number:
            canvas.curve([(_NAME, y), (_SILENT, y)], "line")
        middle = y + height / 2
        if guard:
            place = str(number - len(BEFORE) + 1)
            canvas.text(MARGIN + 30, middle + 4, place, size=_SIZE, anchor="middle", bold=True)
        role: Role = "first" if guard else "ink"
        canvas.text(_NAME, y + 18, stage.name, size=12.5, bold=True, role=role)
        canvas.lines(_ASKS, y + 18, asks, size=_SIZE)
        below = canvas.lines(
            _SILENT, y + 18, silent, size=_SMALL, role="no", anchor="end", mono=True
        )
        if stage.may_hold:
            canvas.text(_SILENT, below, "or held", size=_SMALL, role="soft", anchor="end")
    bottom = tops[-1]
    canvas.curve([(_NAME, bottom), (_SILENT, bottom)], "line")
    canvas.text(_NAME, bottom + 22, reasons.SAID[0], size=14, bold=True, role="second")
    said = "The decision is recorded and charged at once; the action leaves for its gateway."
    canvas.lines(_ASKS, bottom + 22, wrapped(said, _SILENT - _ASKS, _SIZE), size=_SIZE)
    return canvas.written(bottom + 22 + 1.3 * _SIZE + MARGIN)


def _row(stage: Stage) -> tuple[list[str], list[str], float]:
    """Return what is asked and the reasons, in lines, and the height of the row."""
    asks = wrapped(stage.asks, _ROOM, _SIZE)
    silent = wrapped(" ".join(stage.silent), _SILENT - _ASKS - _ROOM - 8, _SMALL, mono=True)
    beside = len(silent) + stage.may_hold
    return asks, silent, 12 + max(len(asks) * _SIZE * 1.3, beside * _SMALL * 1.3)


def _funnel(canvas: Canvas, tops: list[float]) -> None:
    """Draw the funnel beside the rows: wide where everything enters, narrow where one leaves."""
    first, last, middle = tops[0], tops[-1], MARGIN + 30
    canvas.shape(
        [(middle - 30, first), (middle + 30, first), (middle + 8, last), (middle - 8, last)],
        "night",
    )
    canvas.curve([(middle, last + 4), (middle, last + 24)], "second", thick=2)
    canvas.shape([(middle - 7, last + 20), (middle + 7, last + 20), (middle, last + 32)], "second")


__all__ = ["AFTER", "BEFORE", "Stage", "picture", "reasons_of", "stages"]
