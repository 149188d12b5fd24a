"""Where keys stand in a TOML text."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rules.campaigns import shipped
from rules.lines import Path, locate

TRICKY = '''\
# a comment = "no key"
plain = 1   # [not.a.table]
"quoted key" = "a # no comment [[x]]"
'literal' = 'C:\\no\\escape'
dotted.inner."deep key" = true
list = [
  "one",   # comment with ] and "
  [2, 3],
]
many = """
first = "inside"
[inside]
escaped \\""" still inside
"""
raw = \'\'\'
[[also.inside]]
\'\'\'
inline = { a = 1, b = "}" }
empty = ""
quotes = """""two""""" # five on each side

[table]
key = 2026-11-11
  [ table . "sub table" ]
  key = 1
[[entry]]
id = 1
[entry.below]
x = 1
[[entry.nested]]
y = 1
[[entry.nested]]
y = 2

[[entry]]
id = 2
[[entry.nested]]
y = 3
last = 1'''


def paths(value: Any, path: Path = ()) -> set[Path]:
    """Every path of a parsed value, inline tables excepted below their key."""
    found: set[Path] = {path} if path else set()
    if isinstance(value, dict):
        for key, below in value.items():
            found |= paths(below, (*path, key))
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        for index, below in enumerate(value):
            found |= paths(below, (*path, index))
    return found


def line_of(text: str, start: str, nth: int = 1) -> int:
    lines = [number for number, line in enumerate(text.split("\n"), 1) if line.startswith(start)]
    return lines[nth - 1]


def test_strings_comments_and_brackets_do_not_mislead() -> None:
    found = locate(TRICKY)
    assert found["plain",] == 2
    assert found["quoted key",] == 3
    assert found["literal",] == 4
    assert found["dotted", "inner", "deep key"] == found["dotted", "inner"] == 5
    assert found["list",] == 6
    assert found["many",] == line_of(TRICKY, "many")
    assert found["inline",] == line_of(TRICKY, "inline")
    assert found["quotes",] == line_of(TRICKY, "quotes")
    assert found["table",] == line_of(TRICKY, "[table]")
    assert found["table", "sub table", "key"] == line_of(TRICKY, "  key")
    assert not any("inside" in path for path in found)


def test_entries_of_arrays_are_counted_at_every_depth() -> None:
    found = locate(TRICKY)
    assert found["entry", 0] == line_of(TRICKY, "[[entry]]")
    assert found["entry", 0, "below", "x"] == line_of(TRICKY, "x")
    assert found["entry", 0, "nested", 1, "y"] == line_of(TRICKY, "y", 2)
    assert found["entry", 1, "id"] == line_of(TRICKY, "id", 2)
    assert found["entry", 1, "nested", 0, "last"] == line_of(TRICKY, "last")


def test_every_place_the_parser_knows_has_a_line() -> None:
    for text in (TRICKY, shipped().decode()):
        found = locate(text)
        for path in paths(tomllib.loads(text)):
            if path[0] != "inline" or len(path) == 1:
                begins = any(key[: len(path)] == path for key in found)
                assert begins, path


WORDS = st.text(alphabet="ab[]{}#=\"'\\ .", max_size=12)


@given(st.lists(st.tuples(st.sampled_from("klm"), WORDS, st.booleans()), max_size=8))
def test_any_text_between_quotes_is_skipped(rows: list[tuple[str, str, bool]]) -> None:
    """Law: however wild the values, each key is found on its own line."""
    lines = ["[[t]]"]
    for number, (key, word, comment) in enumerate(rows):
        escaped = word.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'{key}{number} = "{escaped}"' + " # = [ ' \"" * comment)
    text = "\n".join(lines)
    tomllib.loads(text)
    found = locate(text)
    assert {path[2]: line for path, line in found.items() if len(path) == 3} == {
        f"{key}{number}": number + 2 for number, (key, _, _) in enumerate(rows)
    }
