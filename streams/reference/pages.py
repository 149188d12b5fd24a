"""Which page and which picture is written by which module.

`python -m streams.reference` writes them anew; a test holds them up to date.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from engine.errors import Refused
from monitoring import metrics
from streams import settings
from streams.observing import messages
from streams.products import record
from streams.reference import campaigns, commands, decisions, events, features, picture, wire
from streams.reference.pictures.gallery import PICTURES

# By file under docs/reference.
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "anomalies.schema.json": lambda: messages.schema().decode(),
    "campaigns.md": campaigns.page,
    "commands.md": commands.page,
    "decisions-and-reasons.md": decisions.page,
    "events.md": events.page,
    "features.md": features.page,
    "metrics.md": metrics.markdown,
    "products.schema.json": lambda: record.schema().decode(),
    "settings.md": settings.markdown,
    "wire-formats.md": wire.page,
}
# The one page by hand that holds a generated part.
CONCEPTS: Final = "concepts.md"


def pages(docs: Path) -> dict[Path, str]:
    """Return every generated page and picture by its path; ``docs`` holds concepts.md.

    Raises Refused.
    """
    concepts = docs / CONCEPTS
    if not concepts.is_file():
        message = f"There is no {concepts}: run this from the folder of the repository."
        raise Refused(message)
    found = {docs / "reference" / name: write() for name, write in PAGES.items()}
    found |= {docs / "pictures" / name: draw() for name, draw in PICTURES.items()}
    found[concepts] = picture.drawn_into(concepts.read_text("utf-8"))
    return found


__all__ = ["CONCEPTS", "PAGES", "pages"]
