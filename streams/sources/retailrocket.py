"""RetailRocket events (timestamp, visitorid, event, itemid, transactionid) of one shop.

ADDED, by keyed hash: before a visitor's first record an ``identified`` (zone of three, push, e-mail
and SMS reachable with .7, .6, .4) and a ``consent changed`` (.9); the price of an item, because the
source has none, and quantity 1. Lines of one transaction become one order, told with its last line;
its total is their sum. There are no cart ids, so everybody has the unnamed cart. Times are UTC ms.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.events import Active, Event, Line, OrderCompleted, ProductAdded, ProductViewed
from streams.sources.files import WHOLE, Origin, Slice
from streams.sources.reasons import UNREAD, Notes
from streams.sources.shoppers import Shoppers, price_of
from streams.sources.tables import Cells, Layout, read

NAME: Final = "retailrocket"


def _transaction(cells: Cells) -> str | None:
    return cells[4] or None if cells[2] == "transaction" else None


LAYOUT: Final = Layout(
    columns=("timestamp", "visitorid", "event", "itemid", "transactionid"),
    at=lambda cells: int(cells[0]),
    group=_transaction,
    keep=lambda cells: bool(cells[1]),
)


def events(path: Path, part: Slice = WHOLE, notes: Notes = UNREAD) -> Iterator[Event]:
    """Return the events in time order; ``notes`` counts rows left out. Raises Refused."""
    shoppers = Shoppers(NAME, Origin.of("file", path))
    rows, survey = read(path, LAYOUT, part, notes)
    buying: dict[str, list[Line]] = {}
    for row in rows:
        _, visitor, kind, item, transaction = row.cells
        introduced = shoppers.introduce(visitor, row.at, row.place, row.line)
        yield from introduced
        shared = shoppers.shared(visitor, row.at, row.place, row.line, len(introduced))
        if kind == "view":
            yield ProductViewed(**shared, product_id=item)
        elif kind == "addtocart":
            yield ProductAdded(**shared, line=Line(item, 1, price_of(NAME, item)))
        elif kind == "transaction" and transaction:
            lines = buying.setdefault(transaction, [])
            lines.append(Line(item, 1, price_of(NAME, item)))
            if row.place == survey.last[transaction]:
                del buying[transaction]
                total = round(sum(line.price or 0.0 for line in lines), 2)
                yield OrderCompleted(**shared, order_id=transaction, lines=lines, total=total)
        else:
            yield Active(**shared, name=kind[:40])
