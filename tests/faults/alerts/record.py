"""What fired, as it was seen: files, one for each fault, which the index of runbooks is made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("fired")


@dataclass(frozen=True, slots=True)
class Fired:
    """One trial that ended as it should: when, and how many seconds each alert took."""

    fault: str
    says: str
    at: str
    seconds: Mapping[str, float]
    shortened: Sequence[str]


def read() -> list[Fired]:
    """Return every trial on record, in the order of the faults' names."""
    return [Fired(**json.loads(path.read_text("utf-8"))) for path in sorted(FOLDER.glob("*.json"))]


def keep(fired: Fired) -> None:
    """Put a trial on record, in the place of an older one of the same fault."""
    text = json.dumps(asdict(fired), indent=1, ensure_ascii=False)
    (FOLDER / f"{fired.fault}.json").write_text(text + "\n", "utf-8")
