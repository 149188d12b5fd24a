"""History for a shop that starts: customers, past orders, consents and opt-outs from JSONL or CSV.

Everything becomes events with ``history``: they are known and arm nothing. One line is one
customer, one consent, one opt-out, or one line of an order; the lines of an order stand together.
What a line is says its column ``type``, else its columns. A line that cannot be read is a problem
with its place and how to mend it; nothing is guessed.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from engine import events as ev
from engine.errors import InvalidEvent, Refused
from engine.events import Event, Line
from engine.profile import ANONYMOUS
from streams.sources import contacts, event_times, ids, places
from streams.sources.files import Origin, lines, opened, unpacking
from streams.sources.lenient_json import loads
from streams.sources.lines import MAX_LINES
from streams.sources.reasons import UNREAD
from streams.sources.values import MAX_WORD, amount, identifier, quantity, text, truth

Kind = Literal["customer", "order", "consent", "opt_out"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_OF_CUSTOMERS: Final = ("email", "phone", "push_token", "timezone", "country", "locale")
_OF_ORDERS: Final = ("order_id", "total", "currency", "status", "delivered_at", "products")
_OF_PRODUCTS: Final = ("product_id", "name", "quantity", "price")
_OF_CONSENTS: Final = ("purpose", "channel", "granted", "source", "text_version")
COLUMNS: Final = frozenset(
    ("type", "user_id", "at", *_OF_CUSTOMERS, *_OF_ORDERS, *_OF_PRODUCTS, *_OF_CONSENTS)
)
# As other systems call them, after lower case and underscores.
ALIASES: Final = {
    "userid": "user_id",
    "customer_id": "user_id",
    "customerid": "user_id",
    "orderid": "order_id",
    "ordered_at": "at",
    "consented_at": "at",
    "opted_out_at": "at",
    "timestamp": "at",
    "productid": "product_id",
    "sku": "product_id",
    "token": "push_token",
}
STATUSES: Final = ("completed", "cancelled", "refunded")
_OPT_IN: Final = "_opt_in"


class Problem(NamedTuple):
    """A line that is not loaded: where, what is wrong, how to mend it."""

    path: Path
    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        """Return it as one sentence."""
        return f"{self.path}:{self.line}: {self.what}; {self.mend}."


class _Bad(ValueError):
    """What is wrong with a line, and how to mend it."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.mend = mend


@dataclass(slots=True)
class Checked:
    """What a file holds: events by kind, problems (the first thousand), and columns not used."""

    events: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    bad: int = 0
    ignored: tuple[str, ...] = ()


_MOST_PROBLEMS: Final = 1000


def check(path: Path, received_at: int, kind: Kind | None = None) -> Checked:
    """Read a whole file and load nothing; raises Refused for a file that is neither JSONL nor CSV.

    ``received_at``: ms of the import. ``kind``: what every line is, if no column says it.
    """
    reading = _Reading(path, received_at, kind)
    checked = Checked()
    for found in reading.scan():
        if isinstance(found, Problem):
            checked.bad += 1
            if len(checked.problems) < _MOST_PROBLEMS:
                checked.problems.append(found)
        else:
            checked.events[type(found).__name__] += 1
    checked.ignored = tuple(sorted(reading.ignored))
    return checked


def read(path: Path, received_at: int, kind: Kind | None = None) -> Iterator[Event]:
    """Return the events of every good line, in the order of the file; raises Refused as check does.

    Read it after :func:`check`: bad lines are left out without a word.
    """
    for found in _Reading(path, received_at, kind).scan():
        if not isinstance(found, Problem):
            yield found


# --- lines of the file --------------------------------------------------------------------------


class _Row(NamedTuple):
    line: int
    fields: dict[str, Any]


@dataclass(slots=True)
class _Pending:
    """An order whose lines are still being read; its first line says the rest. ``last``: line."""

    user_id: str
    order_id: str
    at: int
    delivered_at: int | None
    total: float | None
    currency: str
    status: str
    lines: list[Line]
    last: int = 0


class _Reading:
    """One pass over one file."""

    def __init__(self, path: Path, received_at: int, kind: Kind | None) -> None:
        self.path = path
        self.received_at = received_at
        self.kind = kind
        self.ignored: set[str] = set()
        self._origin = Origin.of("import", path)
        self._pending: _Pending | None = None
        self._orders: set[tuple[str, str]] = set()

    def scan(self) -> Iterator[Event | Problem]:
        """Return events and problems in the order of the file."""
        for found in self._rows():
            if isinstance(found, Problem):
                yield found
                continue
            try:
                made = self._of_row(found)
            except _Bad as bad:
                yield Problem(self.path, found.line, str(bad), bad.mend)
            else:
                yield from made
        yield from self._finished()

    def _of_row(self, row: _Row) -> list[Event]:
        kind = self._kind_of(row.fields)
        user_id = _user(row.fields)
        if kind == "order":
            return self._order_line(row, user_id)
        match kind:
            case "customer":
                made = self._customer(row, user_id)
            case "consent":
                made = [self._consent(row, user_id)]
            case "opt_out":
                made = [self._opt_out(row, user_id)]
        # Only now: a bad line must not take the order before it along.
        return [*self._finished(), *made]

    def _rows(self) -> Iterator[_Row | Problem]:
        name = self.path.name.removesuffix(".gz")
        if name.endswith(".csv"):
            return self._csv_rows()
        if name.endswith((".jsonl", ".ndjson")):
            return self._json_rows()
        raise Refused(f"{self.path} is neither .jsonl nor .csv (nor either with .gz): rename it.")

    def _csv_rows(self) -> Iterator[_Row | Problem]:
        with opened(self.path) as data, unpacking(self.path):
            table = csv.reader(TextIOWrapper(data, encoding="utf-8-sig", newline=""))
            try:
                columns = [self._column(name) for name in next(table, [])]
                if "user_id" not in columns:
                    raise Refused(
                        f"{self.path}:1: no column user_id; the first line names the columns."
                    )
                for cells in table:
                    if len(cells) == len(columns):
                        told = zip(columns, cells, strict=True)
                        yield _Row(table.line_num, {k: v for k, v in told if v.strip()})
                    elif cells:
                        what = f"{len(cells)} cells for {len(columns)} columns"
                        mend = "put values with a comma into double quotes"
                        yield Problem(self.path, table.line_num, what, mend)
            except UnicodeDecodeError as error:
                raise Refused(f"{self.path} is not UTF-8: save it as CSV UTF-8.") from error
            except csv.Error as error:
                raise Refused(f"{self.path}:{table.line_num}: {error}; mend the quotes.") from error

    def _json_rows(self) -> Iterator[_Row | Problem]:
        for number, line in lines(self.path):
            try:
                found = loads(line, UNREAD)
            except InvalidEvent as error:
                yield Problem(self.path, number, str(error), "write one JSON object per line")
                continue
            if type(found) is not dict:
                yield Problem(self.path, number, "not a JSON object", "write {...} per line")
                continue
            told = ((self._column(name), value) for name, value in found.items())
            yield _Row(number, {k: v for k, v in told if v is not None and v != ""})

    def _column(self, name: str) -> str:
        plain = re.sub(r"[\s-]+", "_", name.strip().lower())
        plain = ALIASES.get(plain, plain)
        if plain not in COLUMNS and not plain.endswith(_OPT_IN):
            self.ignored.add(name)
        return plain

    def _kind_of(self, fields: dict[str, Any]) -> Kind:
        told = text(fields.get("type"), MAX_WORD).lower().replace("-", "_") or self.kind
        if told is None:
            return _guessed(fields)
        for kind in KINDS:
            if told == kind:
                return kind
        raise _Bad(f"type {told!r} is unknown", f"write one of {', '.join(KINDS)}")

    # --- kinds of lines -------------------------------------------------------------------------

    def _shared(self, line: int, user_id: str, at: int, ordinal: int = 0) -> dict[str, Any]:
        return {
            "event_id": self._origin.event_id(line, ordinal),
            "user_id": user_id,
            "occurred_at": at,
            "received_at": self.received_at,
            "source": self._origin.position(line, ordinal),
            "history": True,
        }

    def _at(self, fields: dict[str, Any], name: str = "at") -> int | None:
        told = fields.get(name)
        if told is None:
            return None
        number = amount(told)
        found = event_times.read(told if number is None else number, UNREAD)
        if found is None:
            mend = "write it as 2026-01-31 or 2026-01-31T10:00:00+08:00"
            raise _Bad(f"{name} {text(told)!r} is no time", mend)
        if found > self.received_at:
            raise _Bad(f"{name} {text(told)!r} lies in the future", "mend it or leave it out")
        return found

    def _customer(self, row: _Row, user_id: str) -> list[Event]:
        fields = row.fields
        told = self._at(fields)
        at = self.received_at if told is None else told
        made: list[Event] = [
            ev.Identified(
                **self._shared(row.line, user_id, at),
                addresses=_addresses(fields),
                zones=_zones(fields),
                locale=_locale(fields),
            )
        ]
        for column, value in fields.items():
            if column.endswith(_OPT_IN):
                granted = _granted(value, column)
                if granted and told is None:
                    # An undated grant would outlive every dated opt-out.
                    raise _Bad(f"{column} is true but at is empty", "say when she consented")
                channel = _channel(column.removesuffix(_OPT_IN))
                shared = self._shared(row.line, user_id, at, len(made))
                made.append(
                    ev.ConsentChanged(**shared, channel=channel, granted=granted, basis="import")
                )
        return made

    def _consent(self, row: _Row, user_id: str) -> Event:
        fields = row.fields
        granted = _granted(fields.get("granted"), "granted")
        at = self._at(fields)
        if at is None and granted:
            raise _Bad("a consent without at", "say when she consented: it is your proof")
        return self._changed(row, user_id, self.received_at if at is None else at, granted=granted)

    def _opt_out(self, row: _Row, user_id: str) -> Event:
        at = self._at(row.fields)
        return self._changed(row, user_id, self.received_at if at is None else at, granted=False)

    def _changed(self, row: _Row, user_id: str, at: int, *, granted: bool) -> Event:
        fields = row.fields
        purpose = contacts.purpose(fields.get("purpose"))
        if purpose is None:
            raise _Bad(f"purpose {text(fields.get('purpose'))!r} is no word", "write marketing")
        return ev.ConsentChanged(
            **self._shared(row.line, user_id, at),
            purpose=purpose,
            channel=_channel(fields.get("channel")),
            granted=granted,
            basis=text(fields.get("source"), MAX_WORD) or "import",
            text_version=text(fields.get("text_version"), MAX_WORD),
        )

    # --- orders ---------------------------------------------------------------------------------

    def _order_line(self, row: _Row, user_id: str) -> list[Event]:
        order_id = identifier(row.fields.get("order_id"))
        if not order_id:
            raise _Bad("no order_id", "every line of an order names it")
        found, pending = _order_lines(row.fields), self._pending
        if pending is None or (pending.user_id, pending.order_id) != (user_id, order_id):
            if (user_id, order_id) in self._orders:
                raise _Bad(f"order {order_id!r} came before", "put all its lines together")
            begun = self._begun(row.fields, user_id, order_id)
            made = self._finished()
            self._pending = pending = begun
            self._orders.add((user_id, order_id))
        else:
            made = []
        pending.lines.extend(found[: MAX_LINES - len(pending.lines)])
        pending.last = row.line
        return made

    def _begun(self, fields: dict[str, Any], user_id: str, order_id: str) -> _Pending:
        at = self._at(fields)
        if at is None:
            raise _Bad("an order without at", "say when it was made")
        return _Pending(
            user_id,
            order_id,
            at,
            self._at(fields, "delivered_at"),
            _money(fields, "total"),
            _currency(fields),
            _status(fields),
            [],
        )

    def _finished(self) -> list[Event]:
        """Return the order whose lines are complete, and what became of it."""
        order, self._pending = self._pending, None
        if order is None:
            return []
        made: list[Event] = [
            ev.OrderCompleted(
                **self._shared(order.last, order.user_id, order.at),
                order_id=order.order_id,
                lines=order.lines,
                total=_sum(order.lines) if order.total is None else order.total,
                currency=order.currency,
            )
        ]
        if order.delivered_at is not None:
            shared = self._shared(order.last, order.user_id, order.delivered_at, len(made))
            made.append(ev.OrderDelivered(**shared, order_id=order.order_id))
        shared = self._shared(order.last, order.user_id, order.at, len(made))
        if order.status == "cancelled":
            made.append(ev.OrderCancelled(**shared, order_id=order.order_id))
        elif order.status == "refunded":
            made.append(ev.OrderRefunded(**shared, order_id=order.order_id))
        return made


# --- values of a line ---------------------------------------------------------------------------


def _guessed(fields: dict[str, Any]) -> Kind:
    """Return what a line can only be, from its columns; an opt-out must say so."""
    if "order_id" in fields:
        return "order"
    if "granted" in fields:
        return "consent"
    if not fields.keys().isdisjoint(_OF_CUSTOMERS) or any(
        name.endswith(_OPT_IN) for name in fields
    ):
        return "customer"
    raise _Bad("it does not say what it is", f"add a column type: {', '.join(KINDS)}")


def _user(fields: dict[str, Any]) -> str:
    told = fields.get("user_id")
    found = ids.clean(told)
    if not found or found.startswith(ANONYMOUS):
        said = "no user_id" if told is None else f"user_id {text(told)!r} names nobody"
        raise _Bad(said, "give the id your events carry as userId")
    return found


def _addresses(fields: dict[str, Any]) -> dict[str, str]:
    found = {}
    for column, channel, read_address in (
        ("email", "email", contacts.email),
        ("phone", "sms", contacts.phone),
        ("push_token", "push", contacts.token),
    ):
        told = fields.get(column)
        if told is not None:
            address = read_address(told)
            if not address:
                raise _Bad(f"{column} {text(told)!r} cannot be one", "mend it or leave it empty")
            found[channel] = address
    return found


def _zones(fields: dict[str, Any]) -> list[str] | None:
    zone, country = fields.get("timezone"), fields.get("country")
    if zone is not None:
        found = places.zone_of(places.place(zone))
        if not found:
            raise _Bad(f"timezone {text(zone)!r} is unknown", "write it as Asia/Shanghai")
        return [found]
    if country is None:
        return None
    candidates = list(places.zones_of_country(places.place(country)))
    if not candidates:
        raise _Bad(f"country {text(country)!r} is unknown", "write two letters, as CN")
    return candidates


def _locale(fields: dict[str, Any]) -> str | None:
    told = fields.get("locale")
    if told is None:
        return None
    found = places.locale_of(places.place(told))
    if not found:
        raise _Bad(f"locale {text(told)!r} cannot be read", "write it as zh-CN")
    return found


def _granted(value: object, column: str) -> bool:
    found = truth(value)
    if found is None:
        said = "is empty" if value is None else f"{text(value)!r} is neither"
        raise _Bad(f"{column} {said}", "write true or false")
    return found


def _channel(value: object) -> str:
    found = contacts.channel(value)
    if found is None:
        raise _Bad(f"channel {text(value)!r} is no name", "write push, sms, email or *")
    return contacts.ALL if found == contacts.MARKETING else found


def _order_lines(fields: dict[str, Any]) -> list[Line]:
    """Return the products of one line: its own columns, or the list ``products`` of JSONL."""
    products = fields.get("products")
    if products is None:
        return [_line(fields)] if "product_id" in fields else []
    if type(products) is not list or not all(type(product) is dict for product in products):
        raise _Bad("products is no list of objects", 'write [{"product_id": "p-1"}]')
    return [_line({"currency": _currency(fields)} | product) for product in products]


def _line(fields: dict[str, Any]) -> Line:
    product = identifier(fields.get("product_id"))
    if not product:
        raise _Bad("a product without product_id", "name it or leave the product out")
    told = fields.get("quantity")
    count = 1 if told is None else quantity(told)
    if count is None:
        raise _Bad(f"quantity {text(told)!r} is none", "write a whole number from 1 to 9999")
    return Line(
        product, count, _money(fields, "price"), text(fields.get("name")), _currency(fields)
    )


def _money(fields: dict[str, Any], column: str) -> float | None:
    told = fields.get(column)
    found = amount(told)
    if told is not None and found is None:
        raise _Bad(f"{column} {text(told)!r} is no amount", "write it as 1299.00")
    return found


def _sum(products: list[Line]) -> float | None:
    """Return what the lines come to; None where a price is missing."""
    if not products or any(line.price is None for line in products):
        return None
    return round(sum((line.price or 0.0) * line.quantity for line in products), 2)


def _currency(fields: dict[str, Any]) -> str:
    told = text(fields.get("currency"), MAX_WORD).upper()
    if told and not (len(told) == 3 and told.isascii() and told.isalpha()):
        raise _Bad(f"currency {told!r} is none", "write three letters, as CNY")
    return told


def _status(fields: dict[str, Any]) -> str:
    told = text(fields.get("status"), MAX_WORD).lower() or "completed"
    told = "cancelled" if told == "canceled" else told
    if told not in STATUSES:
        raise _Bad(f"status {told!r} is unknown", f"write one of {', '.join(STATUSES)}")
    return told
