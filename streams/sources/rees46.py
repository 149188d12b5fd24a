"""REES46 events (event_time, event_type, product_id ... user_session): view, cart, purchase.

ADDED, by keyed hash: before a user's first record an ``identified`` (zone of three, push, e-mail
and SMS reachable with .7, .6, .4) and a ``consent changed`` (.9). Prices are the source's own (it
names no currency), quantity is 1, a product is named by brand and last category. The source has no
order ids: purchases of one session at one second are one order, told with its last line. There are
no cart ids, so everybody has the unnamed cart. Times are UTC.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.events import (
    Active,
    Event,
    Line,
    OrderCompleted,
    ProductAdded,
    ProductRemoved,
    ProductViewed,
)
from engine.times import from_iso
from streams.sources.files import WHOLE, Origin, Slice
from streams.sources.reasons import UNREAD, Notes
from streams.sources.shoppers import Shoppers
from streams.sources.tables import Cells, Layout, read
from streams.sources.values import MAX_NAME, amount

NAME: Final = "rees46"
_TIME, _TYPE, _PRODUCT, _CATEGORY, _BRAND, _PRICE, _USER, _SESSION = range(8)


def _at(cells: Cells) -> int:
    return from_iso(cells[_TIME].replace(" UTC", "+00:00"))


def _order(cells: Cells) -> str | None:
    return f"{cells[_SESSION]}@{cells[_TIME]}" if cells[_TYPE] == "purchase" else None


LAYOUT: Final = Layout(
    columns=(
        "event_time",
        "event_type",
        "product_id",
        "category_code",
        "brand",
        "price",
        "user_id",
        "user_session",
    ),
    at=_at,
    group=_order,
    keep=lambda cells: bool(cells[_USER]),
)


def events(path: Path, part: Slice = WHOLE, notes: Notes = UNREAD) -> Iterator[Event]:
    """Return the events in time order; ``notes`` counts rows left out. Raises Refused."""
    shoppers = Shoppers(NAME, Origin.of("file", path))
    rows, survey = read(path, LAYOUT, part, notes)
    buying: dict[str, list[Line]] = {}
    for row in rows:
        cells = row.cells
        user, kind, order = cells[_USER], cells[_TYPE], _order(cells)
        introduced = shoppers.introduce(user, row.at, row.place, row.line)
        yield from introduced
        shared = shoppers.shared(user, row.at, row.place, row.line, len(introduced))
        if kind == "view":
            yield ProductViewed(**shared, product_id=cells[_PRODUCT])
        elif kind == "cart":
            yield ProductAdded(**shared, line=_line(cells))
        elif kind == "remove_from_cart":
            yield ProductRemoved(**shared, product_id=cells[_PRODUCT], quantity=1)
        elif order is not None:
            lines = buying.setdefault(order, [])
            lines.append(_line(cells))
            if row.place == survey.last[order]:
                del buying[order]
                total = round(sum(line.price or 0.0 for line in lines), 2)
                yield OrderCompleted(**shared, order_id=order, lines=lines, total=total)
        else:
            yield Active(**shared, name=kind[:40])


def _line(cells: Cells) -> Line:
    leaf = cells[_CATEGORY].rpartition(".")[2].replace("_", " ")
    name = f"{cells[_BRAND]} {leaf}".strip()
    return Line(cells[_PRODUCT], 1, amount(cells[_PRICE]), name[:MAX_NAME])
