"""One request taken apart into messages of the raw topic, each judged on its own.

A message that is unreadable for the engine is passed on as it is and ends in the dead letters;
only what cannot be a record at all is left out and counted. It never takes the others with it.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from streams.http.bodies import BadRequest
from streams.sources import ids
from streams.sources.reasons import Notes
from streams.sources.values import mapping

# A larger one would be refused by the broker, and the whole batch with it.
MAX_MESSAGE: Final = 512 * 1024

QUARANTINED: Final = ("not_object", "no_user", "oversize", "too_deep")


@dataclass(slots=True)
class Taken:
    """What is to be published, and how many messages were left out, by reason."""

    records: list[tuple[bytes, bytes]] = field(default_factory=list)
    quarantined: Notes = field(default_factory=Notes)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the request says for all its messages; ``kind`` is the type the path names."""

    kind: str | None
    received_at: str
    sent_at: str | None = None
    anonymous_id: str | None = None


def take_apart(body: dict[str, Any], envelope: Envelope) -> Taken:
    """Return the records of a request; raises BadRequest for a batch without its list."""
    if envelope.kind is not None:
        messages: object = [body]
        shared: dict[str, Any] = {}
    else:
        messages = body.get("batch")
        shared = body
    if type(messages) is not list:
        raise BadRequest(400, "no_batch", "a batch holds its messages in the list `batch`")
    taken = Taken()
    for message in messages:
        _take(message, shared, envelope, taken)
    return taken


def _take(message: object, shared: dict[str, Any], envelope: Envelope, taken: Taken) -> None:
    if type(message) is not dict:
        taken.quarantined["not_object"] += 1
        return
    whole = _completed(message, shared, envelope)
    key = _key(whole)
    if not key:
        taken.quarantined["no_user"] += 1
        return
    try:
        value = orjson.dumps(whole)
    except TypeError:  # nested deeper than 254
        taken.quarantined["too_deep"] += 1
        return
    if len(value) > MAX_MESSAGE:
        taken.quarantined["oversize"] += 1
        return
    taken.records.append((key, value))


def _completed(
    message: dict[str, Any], shared: dict[str, Any], envelope: Envelope
) -> dict[str, Any]:
    """Return a message with what path, batch and headers say where it is silent itself."""
    whole = dict(message)
    whole.pop("writeKey", None)
    for name in ("context", "integrations"):
        batch = mapping(shared.get(name))
        if batch:
            whole[name] = batch | mapping(whole.get(name))
    if whole.get("type") is None and envelope.kind is not None:
        whole["type"] = envelope.kind
    if whole.get("sentAt") is None:
        sent_at = shared.get("sentAt") or envelope.sent_at
        if sent_at is not None:
            whole["sentAt"] = sent_at
    if envelope.anonymous_id and not (whole.get("userId") or whole.get("anonymousId")):
        whole["anonymousId"] = envelope.anonymous_id
    whole["receivedAt"] = envelope.received_at
    return whole


def _key(message: dict[str, Any]) -> bytes:
    """Return the anonymous id, else the user id: a device's order survives its log-in."""
    found = ids.clean(message.get("anonymousId")) or ids.clean(message.get("userId"))
    return found.encode()


def decoded_anonymous_id(header: str | None) -> str | None:
    """Return the id in RudderStack's base64 header; None when there is none to read."""
    if not header:
        return None
    try:
        return base64.b64decode(header, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
