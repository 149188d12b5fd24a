"""The picture in docs/concepts.md: topics, agents, triggers and guards, drawn from the code."""

from typing import Final

from engine.errors import Refused
from rules import GUARDS, TRIGGERS
from streams.log import topics
from streams.reference.decisions import WORTH, guard_name

BEGIN: Final = "<!-- drawn by python -m streams.reference -->"
END: Final = "<!-- end of the drawing -->"


def drawn_into(page: str) -> str:
    """Return the page with the picture drawn anew between its marks; raises Refused without."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"The page has no place for the picture: write {BEGIN} and {END} into it."
        raise Refused(message)
    return f"{before}{BEGIN}\n```text\n{drawing()}\n```\n{END}{after}"


def drawing() -> str:
    """Return the picture, at most 100 characters wide."""
    kinds = [f"when   {kind}" for kind in TRIGGERS]
    guards = [f"{place:>4}   {guard_name(guard)}" for place, guard in enumerate(GUARDS, 1)]
    return "\n".join(
        [
            *_flow(),
            "",
            f"channels: {', '.join(topics.CHANNELS)}. What nobody can read: {topics.DEAD_LETTERS}.",
            "",
            "decide, for one person and one due trigger:",
            *(f"  {line}" for line in kinds),
            "  does the reason still hold?",
            "  may each channel speak? the first objection counts:",
            *(f"  {line}" for line in guards),
            f"  worth = {WORTH}",
            "  the best channel above 0; then holdout and dry run; the decision is charged at once",
        ]
    )


def _flow() -> list[str]:
    """Return the way of a record, from an app to a person and back."""
    width = max(len(topics.RAW), len(topics.FEEDBACK))
    log = f"intake ─► {topics.EVENTS} ─► decide"
    gap, under = " " * len(log), log.index(topics.EVENTS)
    out = f"{topics.ACTIONS}<channel>"
    ticks = " " * under + "▲"
    beside = " " * (len(log) - under - 4)
    return [
        f"apps     ─► {topics.RAW:{width}} ─┐",
        f"            {'':{width}}  ├─► {log} ─┬─► {topics.DECISIONS}",
        f"gateways ─► {topics.FEEDBACK:{width}} ─┘   {gap}  └─► {out} ─► deliver ─► a person",
        f"   ▲        {'':{width}}      {ticks}{beside}▲ │",
        f"   │        {'':{width}}      {ticks.replace('▲', '│')}{beside}│ ▼",
        f"   │        {'':{width}}      {ticks.replace('▲', '│')}{beside}Redis",
        f"   │        {'':{width}}      {ticks.replace('▲', 'ticks, settings')}",
        "   └── what became of it",
    ]


__all__ = ["BEGIN", "END", "drawing", "drawn_into"]
