"""Keyed hashes of stable ids: the only source of chance, so that a replay draws the same lots."""

from functools import lru_cache
from hashlib import blake2b, sha1, sha256
from uuid import UUID

# Fixed for ever: changing it would change the id of every action ever sent.
NAMESPACE = UUID("5d0f5a3e-6c1b-5d0e-9f57-0b6f2d1c7a11")
_SPACE = NAMESPACE.bytes


def draw(app: str, epoch: str, purpose: str, key: str) -> float:
    """Return a uniform number in [0, 1) from ``sha256(app|epoch|purpose|key)``.

    53 bits, so the float is exact and equal on every machine.
    """
    digest = sha256(f"{app}|{epoch}|{purpose}|{key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 9007199254740992.0  # 2**53


# Asked for by the decision, its action and its charge in turn.
@lru_cache(maxsize=1 << 10)
def action_id(app: str, user: str, campaign: str, step: int, kind: str, key: str, ep: str) -> str:
    """Return the id of what one episode and step says: neither channel nor offset is part of it."""
    return _uuid5(f"{app}|{user}|{campaign}|{step}|{kind}|{key}|{ep}")


@lru_cache(maxsize=1 << 10)
def decision_id(action: str, attempt: int) -> str:
    """Return the id of the ``attempt``-th decision about one episode."""
    return _uuid5(f"{action}|{attempt}")


def _uuid5(name: str) -> str:
    """Return ``str(uuid5(NAMESPACE, name))`` without its objects, in half the time."""
    digest = sha1(_SPACE + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def fingerprint(text: str) -> bytes:
    """Return the 8-byte hash under which an event id or an address is remembered."""
    return blake2b(text.encode(), digest_size=8).digest()
