"""Small parts of Markdown: the head of a generated page, tables, fields of a data type."""

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, UNSET, Struct, UnsetType

COMMAND: Final = "python -m streams.reference"


def head(title: str, source: str, *paragraphs: str) -> list[str]:
    """Return the lines a generated page begins with; ``source``: the file it is made from."""
    said = [f"# {title}", "", f"Written by `{COMMAND}` from {source}.", ""]
    for paragraph in paragraphs:
        said += [paragraph, ""]
    return said


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table, followed by an empty line; a bar inside a cell is escaped."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return [*lines, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def sentence(subject: Any) -> str:
    """Return the docstring as one paragraph, its markup as in Markdown."""
    return plain(subject.__doc__ or "")


def plain(docstring: str) -> str:
    """Return text of a docstring on one line, its marks and Python's words as in Markdown."""
    text = " ".join(docstring.split()).replace("``", "`")
    return text.replace("None", "null")


def fields(kind: type[Struct], meanings: Mapping[str, str] | None = None) -> list[list[str]]:
    """Return name, type, default and, with ``meanings``, meaning of each field as on the wire.

    Raises KeyError for a field without a meaning: a page must not fall behind its type.
    """
    hints = get_type_hints(kind)
    rows = []
    for field in msgspec.structs.fields(kind):
        row = [f"`{field.encode_name}`", type_name(hints[field.name]), _default(field)]
        rows.append(row if meanings is None else [*row, meanings[field.encode_name]])
    return rows


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not NODEFAULT:
        return _literal(field.default_factory())
    if field.default is NODEFAULT:
        return "always there"
    if field.default is UNSET:
        return "left out"
    return _literal(field.default)


def _literal(value: object) -> str:
    return f"`{msgspec.json.encode(value).decode()}`"


_NAMES: Final = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def type_name(hint: Any) -> str:
    """Return a type in the words of JSON."""
    if hint in _NAMES:
        return _NAMES[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {types.UnionType, Union}:
        told = [one for one in arguments if one not in {types.NoneType, UnsetType}]
        named = " or ".join(type_name(one) for one in told)
        return named + (" or null" if types.NoneType in arguments else "")
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in {list, tuple}:
        return f"list of {type_name(arguments[0])}"
    if arguments and origin is not None:  # dict and Mapping
        return f"object of {type_name(arguments[-1])}"
    return f"[{hint.__name__}](#{hint.__name__.lower()})"


def written(lines: Iterable[str]) -> str:
    """Return a page: one empty line at most between paragraphs, one line end at the end."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).rstrip("\n") + "\n"
