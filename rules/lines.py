"""Where in a TOML text each table and key stands; ``tomllib`` gives values without places."""

import re
from typing import Final

Path = tuple[str | int, ...]

_KEY: Final = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_STRINGS: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""+|\'\'\'.*?\'\'\'+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL
)


def locate(text: str) -> dict[Path, int]:
    """Return the line (from 1) of every table, array entry and key of a valid TOML text.

    Paths are those of the parsed value: ``("campaign", 0, "delay")``. What stands inside an inline
    value is not listed; its key is.
    """
    found: dict[Path, int] = {}
    entries: dict[Path, int] = {}
    table: Path = ()
    at, line = 0, 1
    while at < len(text):
        start = _statement(text, at)
        line += text.count("\n", at, start)
        at = start
        if at >= len(text):
            break
        if text[at] == "[":
            double = text.startswith("[[", at)
            keys, _ = _keys(text, at + 1 + double)
            table = _enter(keys, entries, array=double)
            found.setdefault(table, line)
            end = _line_end(text, at)
        else:
            keys, after = _keys(text, at)
            for length in range(1, len(keys) + 1):
                found.setdefault((*table, *keys[:length]), line)
            end = _value_end(text, after)
        line += text.count("\n", at, end)
        at = end
    return found


def _statement(text: str, at: int) -> int:
    """Return where the next header or key begins, past blank lines and comments."""
    while at < len(text):
        if text[at] == "#":
            at = _line_end(text, at)
        elif text[at].isspace():
            at += 1
        else:
            break
    return at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _keys(text: str, at: int) -> tuple[list[str], int]:
    """Read a dotted key; returns its parts and where it ends."""
    keys: list[str] = []
    while match := _KEY.match(text, at):
        keys.append(next(part for part in match.groups() if part is not None))
        at = match.end()
        if not text.startswith(".", at):
            break
        at += 1
    return keys, at


def _enter(keys: list[str], entries: dict[Path, int], *, array: bool) -> Path:
    """Return the path a header opens; inside an array of tables it is the newest entry."""
    path: Path = ()
    for place, key in enumerate(keys):
        path = (*path, key)
        if array and place == len(keys) - 1:
            entries[path] = entries.get(path, -1) + 1
        if path in entries:
            path = (*path, entries[path])
    return path


def _value_end(text: str, at: int) -> int:
    """Return where the value ends: a line break outside of strings and brackets."""
    depth = 0
    while at < len(text):
        character = text[at]
        if character in "\"'" and (string := _STRINGS.match(text, at)):
            at = string.end()
            continue
        if character == "#":
            at = _line_end(text, at)
            continue
        if character == "\n" and depth == 0:
            break
        depth += (character in "[{") - (character in "]}")
        at += 1
    return at
