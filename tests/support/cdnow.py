"""The CDNOW master (customer, date, number of CDs, dollars; space separated) as our events.

One line is one order, at noon UTC of its day, because the source tells no hour; the number of CDs
is not used. Who may be written to is drawn as for the other public data
(:mod:`streams.sources.shoppers`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.events import Event, OrderCompleted
from engine.times import from_iso
from streams.sources.files import Origin, lines
from streams.sources.shoppers import Shoppers

CURRENCY: Final = "USD"


def events(path: Path) -> Iterator[Event]:
    """Return the events in time order; the file is sorted by customer."""
    shoppers = Shoppers("cdnow", Origin.of("file", path))
    rows = sorted(_rows(path))
    for place, (at, line, customer, total) in enumerate(rows, 1):
        introduced = shoppers.introduce(customer, at, place, line)
        yield from introduced
        yield OrderCompleted(
            **shoppers.shared(customer, at, place, line, len(introduced)),
            order_id=f"{customer}-{line}",
            total=total,
            currency=CURRENCY,
        )


def _rows(path: Path) -> Iterator[tuple[int, int, str, float]]:
    for number, line in lines(path):
        if number == 1:  # names the columns
            continue
        customer, day, _, dollars = line.decode().split()
        at = from_iso(f"{day[:4]}-{day[4:6]}-{day[6:]}T12:00:00.000Z")
        yield at, number, customer, float(dollars)
