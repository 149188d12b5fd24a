"""The records of ``products``: what a shop tells of one product; the last one of a key counts.

Compacted by the product's id, which is the key; a record without a value (a tombstone) says that
the product is gone. Nothing of it enters the state of a user.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from engine.errors import InvalidEvent
from streams.sources.values import MAX_AMOUNT, MAX_ID, identifier

VERSION: Final = 1
# One record; a picture belongs to its address, not here.
MAX_BYTES: Final = 64 * 1024
_MOST: Final = 1_000_000_000

Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID,
        description="As product_id is written in events; also the record's key",
    ),
]
Pieces = Annotated[
    int,
    Meta(
        ge=-_MOST,
        le=_MOST,
        description="Pieces that can be ordered now, 0 or less = sold out; left out or null = not "
        "known, or made to order",
    ),
]
Price = Annotated[float, Meta(ge=0, le=MAX_AMOUNT, description="Of one piece")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217")]
Text = Annotated[str, Meta(max_length=500)]
Url = Annotated[str, Meta(max_length=2_000, pattern="^https?://")]


class Product(Struct, frozen=True, kw_only=True):
    """All a shop tells of one product; what is left out is not known."""

    v: int = VERSION
    product_id: Id
    stock: Pieces | None = None
    price: Price | None = None
    currency: Currency | None = None
    category: Text | None = None
    name: Text | None = None
    url: Url | None = None
    image: Url | None = None

    @property
    def sold_out(self) -> bool:
        """Return whether it is known that none is left."""
        return self.stock is not None and self.stock <= 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Product).decode


def encode(product: Product) -> bytes:
    """Write a product as JSON; equal products give equal bytes."""
    return _encode(product)


def decode(value: bytes) -> Product:
    """Read a product; unknown fields are ignored. Raises InvalidEvent with the reason."""
    if len(value) > MAX_BYTES:
        raise InvalidEvent("oversize", f"a product has at most {MAX_BYTES} bytes")
    try:
        return checked(_decode(value))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidEvent("bad_product", f"this is no product: {error}") from error


def converted(told: object) -> Product:
    """Return the product of JSON values that were read already; raises InvalidEvent."""
    try:
        return checked(msgspec.convert(told, Product))
    except msgspec.MsgspecError as error:
        raise InvalidEvent("bad_product", f"this is no product: {error}") from error


def checked(product: Product) -> Product:
    """Return a product whose version and id can be used; raises InvalidEvent."""
    if product.v > VERSION:
        raise InvalidEvent("newer_version", f"version {product.v} of a product is not known yet")
    if identifier(product.product_id) != product.product_id:
        message = "product_id has spaces around it or control characters in it"
        raise InvalidEvent("bad_product", message)
    return product


def key_of(key: bytes | None) -> str:
    """Return the product a record is about; raises InvalidEvent."""
    try:
        found = (key or b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent("no_product_id", "the key is no product id") from error
    if not found:
        raise InvalidEvent("no_product_id", "a record without a key is about no product")
    return found


def read(product_id: str, value: bytes) -> Product:
    """Read what is told of the product a record's key names; raises InvalidEvent."""
    product = decode(value)
    if product.product_id != product_id:
        message = f"the key says {product_id[:40]!r} and the record {product.product_id[:40]!r}"
        raise InvalidEvent("bad_product", message)
    return product


def schema() -> bytes:
    """Return the JSON Schema of the topic's records."""
    found = msgspec.json.schema(Product)
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["title"] = "Records of the topic rekindle.products"
    return msgspec.json.format(msgspec.json.encode(found, order="deterministic"), indent=2) + b"\n"


__all__ = [
    "MAX_BYTES",
    "VERSION",
    "Product",
    "converted",
    "decode",
    "encode",
    "key_of",
    "read",
    "schema",
]
