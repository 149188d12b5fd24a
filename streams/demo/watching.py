"""What is seen while the demo plays: a bar with the simulated date, and lines that stay."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

_WIDTH: Final = 80


class Watching:
    """Shows the course of a run on standard error; no bar where that is no terminal."""

    def __init__(self, hours: int, say: Callable[[str], None]) -> None:
        """``hours``: how many will be played; ``say`` takes the lines that stay."""
        self._say = say
        console = Console(stderr=True, highlight=False, soft_wrap=False)
        columns = (BarColumn(20), TaskProgressColumn(), TextColumn("{task.description}"))
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._bar = self._progress.add_task("", total=hours)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def hour(self, now: int, happened: str) -> None:
        """Note that an hour was played, and what happened last in it."""
        when = datetime.fromtimestamp(now // 1000, UTC)
        told = f"{when:%a} {when.day:2} {when:%b %H:%M}  {happened}"
        self._progress.update(self._bar, advance=1, description=told[: _WIDTH - 30])

    def lasting(self, day: int, text: str) -> None:
        """Say something that stays: ``day`` counts from 1."""
        self._progress.stop()
        self._say(f"day {day:>2}  {text}")
        self._progress.start()


__all__ = ["Watching"]
