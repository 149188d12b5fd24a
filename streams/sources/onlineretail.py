"""UCI Online Retail (InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID, Country).

ADDED, by keyed hash: before a customer's first record an ``identified`` (zone of three, although
the source names a country: nine of ten rows say one and the same; push, e-mail and SMS reachable
with .7, .6, .4) and a ``consent changed`` (.9). Lines of one invoice become one order, told with
its last line, its total their sum, in GBP; postage, fees and manual entries count in the total and
are no lines. Rows without a customer (24.9 %) are left out and counted. Invoice times name no zone
and are read as UTC.

Cancellations (invoices C...) name no order. Each of their lines goes back to the customer's newest
earlier order that still has pieces of that product at that price, else at any price, then to the
next newest until the quantity is used up; what no order explains (bought before the data begins)
is left out and counted as ``skipped_return``. One credit note that takes back everything an order
had, untouched until then, is an ``order_cancelled``; any other is an ``order_refunded`` with its
lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.events import Event, Line, OrderCancelled, OrderCompleted, OrderRefunded
from engine.times import from_iso
from streams.sources.files import WHOLE, Origin, Slice
from streams.sources.lines import MAX_LINES
from streams.sources.reasons import UNREAD, Notes
from streams.sources.shoppers import Shoppers
from streams.sources.tables import Cells, Layout, Row, read
from streams.sources.values import MAX_QUANTITY

NAME: Final = "onlineretail"
CURRENCY: Final = "GBP"
# Postage, carriage, manual, discount, samples, bank charges, fees, charity, padding, bad debt.
NOT_PRODUCTS: Final = frozenset(
    {"POST", "DOT", "C2", "M", "D", "S", "B", "BANK CHARGES", "AMAZONFEE", "CRUK", "PADS"}
)
_INVOICE, _STOCK, _QUANTITY, _DATE, _PRICE, _CUSTOMER = range(6)

LAYOUT: Final = Layout(
    columns=("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"),
    at=lambda cells: from_iso(f"{cells[_DATE]}+00:00"),
    group=lambda cells: cells[_INVOICE],
    keep=lambda cells: bool(cells[_CUSTOMER]),
)


@dataclass(slots=True)
class _Pieces:
    """Pieces of one product at one price that an order still has."""

    product: str
    price: float
    left: int


@dataclass(slots=True)
class _Bought:
    """One order, as far as it may still come back."""

    order_id: str
    pieces: list[_Pieces]
    touched: bool = False

    @property
    def left(self) -> int:
        """Return how many pieces have not come back."""
        return sum(pieces.left for pieces in self.pieces)


@dataclass(slots=True)
class _Books:
    """Invoices being read, and per customer the orders that may still come back, oldest first."""

    invoices: dict[str, list[Cells]] = field(default_factory=dict)
    bought: dict[str, list[_Bought]] = field(default_factory=dict)


def events(path: Path, part: Slice = WHOLE, notes: Notes = UNREAD) -> Iterator[Event]:
    """Return the events in time order; ``notes`` counts rows and returns left out.

    Raises Refused. A slice by rows may cut its last invoice: what is read of it is the order.
    """
    shoppers = Shoppers(NAME, Origin.of("file", path))
    rows, survey = read(path, LAYOUT, part, notes)
    books = _Books()
    for row in rows:
        invoice, customer = row.cells[_INVOICE], row.cells[_CUSTOMER]
        introduced = shoppers.introduce(customer, row.at, row.place, row.line)
        yield from introduced
        books.invoices.setdefault(invoice, []).append(row.cells)
        if row.place != survey.last[invoice]:
            continue
        lines = books.invoices.pop(invoice)
        made = len(introduced)
        if invoice.startswith("C"):
            yield from _returned(shoppers, row, made, lines, books, notes)
        elif order := _ordered(shoppers, row, made, lines, books):
            yield order


# --- orders -------------------------------------------------------------------------------------


def _ordered(
    shoppers: Shoppers, row: Row, made: int, invoice: list[Cells], books: _Books
) -> Event | None:
    """Return the order of an invoice; None when it sold no product."""
    sold = [cells for cells in invoice if _is_product(cells) and int(cells[_QUANTITY]) > 0]
    if not sold:
        return None
    number, customer = row.cells[_INVOICE], row.cells[_CUSTOMER]
    pieces = [_Pieces(c[_STOCK], float(c[_PRICE]), int(c[_QUANTITY])) for c in sold]
    books.bought.setdefault(customer, []).append(_Bought(number, pieces))
    total = sum(int(cells[_QUANTITY]) * float(cells[_PRICE]) for cells in invoice)
    return OrderCompleted(
        **shoppers.shared(customer, row.at, row.place, row.line, made),
        order_id=number,
        lines=_lines(pieces),
        total=round(max(total, 0.0), 2),
        currency=CURRENCY,
    )


def _is_product(cells: Cells) -> bool:
    return cells[_STOCK].upper() not in NOT_PRODUCTS and not cells[_STOCK].startswith("gift_")


def _lines(pieces: list[_Pieces]) -> list[Line]:
    """Return the lines of an order: one per product, the first 64."""
    merged: dict[str, Line] = {}
    for piece in pieces:
        line = merged.get(piece.product)
        if line is None:
            merged[piece.product] = Line(
                piece.product, min(piece.left, MAX_QUANTITY), piece.price, currency=CURRENCY
            )
        else:
            line.quantity = min(line.quantity + piece.left, MAX_QUANTITY)
    return list(merged.values())[:MAX_LINES]


# --- what comes back ----------------------------------------------------------------------------


def _returned(
    shoppers: Shoppers, row: Row, made: int, note: list[Cells], books: _Books, notes: Notes
) -> Iterator[Event]:
    """Return what a credit note does to each order it takes something back from."""
    orders = books.bought.get(row.cells[_CUSTOMER], [])
    untouched = {order.order_id for order in orders if not order.touched}
    back: dict[str, dict[str, int]] = {}
    for cells in note:
        if not _is_product(cells):
            continue
        left = _take_back(orders, cells, back)
        notes["skipped_return"] += left > 0
    for order in [order for order in orders if order.order_id in back]:
        shared = shoppers.shared(row.cells[_CUSTOMER], row.at, row.place, row.line, made)
        made += 1
        if order.left == 0 and order.order_id in untouched:
            yield OrderCancelled(**shared, order_id=order.order_id)
        else:
            yield OrderRefunded(
                **shared, order_id=order.order_id, lines=_refund(back[order.order_id])
            )
        if order.left == 0:
            orders.remove(order)


def _refund(taken: dict[str, int]) -> list[Line]:
    lines = [Line(product, min(quantity, MAX_QUANTITY)) for product, quantity in taken.items()]
    return lines[:MAX_LINES]


def _take_back(orders: list[_Bought], cells: Cells, back: dict[str, dict[str, int]]) -> int:
    """Take one returned line off the orders, newest first; returns what no order explains."""
    product, price, wanted = cells[_STOCK], float(cells[_PRICE]), -int(cells[_QUANTITY])
    for same_price in (True, False):
        for order in reversed(orders):
            for pieces in order.pieces:
                fits = pieces.product == product and (pieces.price == price or not same_price)
                taken = min(wanted, pieces.left) if fits else 0
                if taken <= 0:
                    continue
                pieces.left -= taken
                wanted -= taken
                order.touched = True
                of_order = back.setdefault(order.order_id, {})
                of_order[product] = of_order.get(product, 0) + taken
    return wanted
