"""Brings a file of history into a live shop: checked as a whole, then appended to the log."""

from pathlib import Path
from time import time
from typing import Final, cast

from msgspec import Struct

from engine.errors import Refused
from streams import control
from streams.settings import Deployment
from streams.sources import imports

# A wrong file has thousands of bad lines; the first ones tell what is wrong with it.
_SHOWN: Final = 20


class Brought(Struct, frozen=True):
    """What a file held; ``loaded`` events were appended, 0 when it was only checked."""

    events: dict[str, int]
    problems: list[str]
    bad: int
    ignored: list[str]
    loaded: int


async def bring(
    deployment: Deployment | None, path: Path, kind: str | None = None, *, skip_bad: bool = False
) -> Brought:
    """Check a file and append its events; ``deployment`` None = only check.

    A bad line refuses the whole file unless ``skip_bad``: half an unsubscribe list breaks the law
    as surely as none. Raises Refused, one line per problem, and Unavailable.
    """
    now = int(time() * 1000)
    what = cast("imports.Kind | None", kind)
    checked = imports.check(path, now, what)
    problems = [str(problem) for problem in checked.problems[:_SHOWN]]
    if checked.bad > len(problems):
        problems.append(f"... and {checked.bad - len(problems)} more bad lines.")
    if checked.bad and not skip_bad:
        raise Refused("\n".join([*problems, "Nothing was loaded: mend them, or use --skip-bad."]))
    loaded = 0
    if deployment is not None:
        loaded = await control.append(deployment, imports.read(path, now, what))
    return Brought(
        dict(sorted(checked.events.items())), problems, checked.bad, list(checked.ignored), loaded
    )
