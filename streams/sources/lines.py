"""Products in carts and orders as clients write them: e-commerce v2, and ``id`` of before."""

from typing import Any, Final

from engine.events import Line
from streams.sources.reasons import Notes, invalid
from streams.sources.values import amount, identifier, mapping, quantity, text

MAX_LINES: Final = 64


def product_of(properties: dict[str, Any]) -> str:
    """Return which product it is: ``product_id``, else ``sku``, else ``id``; ``""`` if none."""
    return (
        identifier(properties.get("product_id"))
        or identifier(properties.get("sku"))
        or identifier(properties.get("id"))
    )


def required_product(properties: dict[str, Any]) -> str:
    """Return the product; raises InvalidEvent (``no_product_id``)."""
    found = product_of(properties)
    if not found:
        raise invalid("no_product_id", "neither product_id nor sku names a product")
    return found


def line(product: str, properties: dict[str, Any], currency: str, notes: Notes) -> Line:
    """Return one line; ``currency`` is that of the event, for products that name none."""
    return Line(
        product,
        count(properties, notes) or 1,
        money(properties, "price", notes),
        text(properties.get("name")),
        currency_of(properties) or currency,
    )


def listed(properties: dict[str, Any], notes: Notes) -> list[Line] | None:
    """Return the lines of ``products``, the first 64; None when there is no such list.

    A product in quantity 0 is not there; one without id is left out and counted.
    """
    products = properties.get("products")
    if type(products) is not list:
        return None
    currency = currency_of(properties)
    lines = []
    for product in products[:MAX_LINES]:
        found = mapping(product)
        name = product_of(found)
        if not name:
            notes["skipped_lines"] += 1
        elif found.get("quantity") not in (0, "0") or found.get("quantity") is False:
            lines.append(line(name, found, currency, notes))
    if len(products) > MAX_LINES:
        notes["skipped_lines"] += len(products) - MAX_LINES
    return lines


def count(properties: dict[str, Any], notes: Notes) -> int | None:
    """Return ``quantity``; None when it is not told or cannot be one (counted)."""
    told = properties.get("quantity")
    if told is None:
        return None
    found = quantity(told)
    if found is None:
        notes["bad_quantity"] += 1
    return found


def money(properties: dict[str, Any], name: str, notes: Notes) -> float | None:
    """Return an amount; None when it is not told or cannot be one (counted)."""
    told = properties.get(name)
    if told is None:
        return None
    found = amount(told)
    if found is None:
        notes["bad_amount"] += 1
    return found


def currency_of(properties: dict[str, Any]) -> str:
    """Return an ISO 4217 code in capitals, ``""`` for anything else."""
    told = properties.get("currency")
    if type(told) is str and len(told) == 3 and told.isascii() and told.isalpha():
        return told.upper()
    return ""
