"""All that survives a deploy: positions, figures, series, what is still to be told. One value."""

from typing import Final

import msgspec
from msgspec import Struct, field

from engine.errors import Refused
from monitoring.figures.shop import Figures
from monitoring.figures.told import TailRow
from monitoring.figures.watch import WatchState
from streams.observing.minutes import Place, Standing

VERSION: Final = 1


class _Head(Struct):
    v: int = 0
    prefix: str = ""


class Kept(Struct):
    """The observer at the end of the minute ``until`` (ms), of the topics with ``prefix``.

    ``outbox``: messages of ``anomalies`` by id that may not have been written yet.
    """

    v: int = VERSION
    prefix: str = ""
    until: int = 0
    standings: dict[Place, Standing] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    watch: WatchState = field(default_factory=WatchState)
    outbox: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    tail: list[TailRow] = field(default_factory=list)
    brakes: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode
_head = msgspec.msgpack.Decoder(_Head).decode


def pack(kept: Kept) -> bytes:
    """Return it as bytes."""
    return _encode(kept)


def unpack(packed: bytes | None, prefix: str) -> Kept | None:
    """Read what was kept; None = nothing of these topics. Raises Refused for a newer version."""
    if packed is None:
        return None
    head = _head(packed)
    if head.v > VERSION:
        message = (
            f"Redis holds what an observer of version {head.v} kept, this program reads version "
            f"{VERSION}: start the release of rekindle that wrote it."
        )
        raise Refused(message)
    return _decode(packed) if head.prefix == prefix and head.v == VERSION else None


__all__ = ["VERSION", "Kept", "pack", "unpack"]
