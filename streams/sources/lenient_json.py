"""JSON as real clients send it: the fast parser first, a forgiving one for what it refuses.

Shipped SDKs put NaN, Infinity, 1e400 and lone surrogates on the wire; refusing the document would
lose everything else in it for ever.
"""

import json
from math import isfinite

import orjson

from streams.sources.reasons import Notes, invalid


def loads(value: bytes, notes: Notes) -> object:
    """Read JSON. NaN and infinities become null, lone surrogates and broken UTF-8 U+FFFD.

    Raises InvalidEvent (``not_json``, ``empty``) and nothing else, for any bytes.
    """
    if not value:
        raise invalid("empty", "the record has no value")
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        mended = _mended(value, str(error))
    notes["lenient_json"] += 1
    return mended


def _mended(value: bytes, problem: str) -> object:
    """Parse with the standard library; write and read once more: only clean data is left."""
    try:
        loose = json.loads(
            value.decode("utf-8-sig", "replace"),
            parse_constant=lambda _: None,
            parse_float=_finite,
            strict=False,  # raw control characters inside strings
        )
        text = json.dumps(loose, ensure_ascii=False)
        # UTF-16 joins escaped pairs and is where a lone surrogate can be told from a pair.
        clean = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return orjson.loads(clean)
    except (ValueError, RecursionError) as error:
        raise invalid("not_json", f"cannot be read as JSON: {problem}") from error


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None
