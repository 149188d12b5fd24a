"""The form in which decisions and actions of two runs are compared: sorted, without positions."""

from collections.abc import Iterable
from typing import Any

import orjson


def canonical(lines: Iterable[bytes]) -> list[bytes]:
    """Return the lines without ``pos``, sorted by (at, user_id, decision_id).

    Positions depend on the partition count and on how many ticks came before; nothing else may.
    """
    kept = []
    for line in lines:
        record: dict[str, Any] = orjson.loads(line)
        record.pop("pos", None)
        kept.append((_key(record), orjson.dumps(record)))
    return [line for _, line in sorted(kept)]


def _key(record: dict[str, Any]) -> tuple[str, str, str]:
    """Order actions by when they were created, which is the ``at`` of their decision."""
    at = record["at"] if "at" in record else record["delivery"]["created_at"]
    return str(at), str(record["user_id"]), str(record["decision_id"])
