"""The list of keys of a campaigns file is the loader's, and pages keep up with their types."""

from pathlib import Path

import msgspec
import pytest

from engine.errors import Refused
from engine.policy import Policy
from engine.reasons import REASONS
from rules import campaigns
from rules.linter import Table
from streams.log import topics
from streams.reference import decisions, events, picture, wire
from streams.reference.__main__ import main
from streams.reference.campaigns import SECTIONS, Key
from streams.reference.markdown import fields, table, type_name

KEYS = [(header, key) for header, (_, keys) in SECTIONS.items() for key in keys]
LIFT = "[campaign.lift]\npush = 1.1\n"


def a_file(without: tuple[str, str] = ("", ""), default: str | None = None) -> bytes:
    """Write a file with every key as in its example; one of them left out, or at its default."""
    lines = []
    for header, (_, keys) in SECTIONS.items():
        headers = [header, header.replace("push", "email")] if "channel" in header else [header]
        for one in headers:
            lines.append(one)
            for key in keys:
                if (header, key.name) != without:
                    lines.append(f"{key.name} = {key.example}")
                elif default is not None:
                    lines.append(f"{key.name} = {default}")
    return ("\n".join(lines) + "\n" + LIFT).encode()


def loaded(content: bytes) -> Policy:
    return campaigns.load(content, "file.toml")


def test_every_key_the_loader_asks_for_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[tuple[str, str]] = set()
    get = Table._get

    def noting(self: Table, key: str) -> object:
        asked.add((_header(self), key))
        return get(self, key)

    monkeypatch.setattr(Table, "_get", noting)
    loaded(a_file())

    sections = {"holdout", "exploration", "quiet_hours", "channel", "cap", "campaign"}
    tables = {("", name) for name in sections} | {("[[campaign]]", "lift")}
    channels = {("[channel]", name) for name in ("push", "email")}
    lifts = {("[campaign.lift]", "push")}
    assert asked - tables - channels - lifts == {(header, key.name) for header, key in KEYS}


def _header(asked: Table) -> str:
    match asked.path:
        case ():
            return ""
        case ("campaign", _, "lift"):
            return "[campaign.lift]"
        case ("channel", _):
            return "[channel.push]"
        case (name, int()):
            return f"[[{name}]]"
        case path:
            return f"[{'.'.join(str(part) for part in path)}]"


@pytest.mark.parametrize(
    ("header", "key"), KEYS, ids=[f"{header}{key.name}" for header, key in KEYS]
)
def test_a_key_has_the_default_that_is_documented(header: str, key: Key) -> None:
    without = a_file(without=(header, key.name))
    if key.default == "":
        with pytest.raises(Refused, match=rf"`{key.name}` is missing|version None|{key.name}"):
            loaded(without)
    elif key.default is None:
        assert loaded(without) != loaded(a_file())
    else:
        assert loaded(without) == loaded(a_file((header, key.name), key.default))


def test_every_reason_has_its_sentence_on_the_page() -> None:
    page = decisions.page()
    assert [reason for reason in REASONS if f"| `{reason}` |" not in page] == []


def test_every_topic_is_told_who_writes_and_reads_it() -> None:
    assert set(wire.CONTENT) == {topics.RAW, *(topic.name for topic in topics.expected())}


def test_a_field_without_a_meaning_is_noticed() -> None:
    class Thing(msgspec.Struct):
        name: str
        size: int | None = None

    assert fields(Thing, {"name": "n", "size": "s"})[1] == [
        "`size`",
        "whole number or null",
        "`null`",
        "s",
    ]
    with pytest.raises(KeyError):
        fields(Thing, {"name": "n"})


def test_types_are_told_in_the_words_of_json() -> None:
    assert type_name(dict[str, float | None]) == "object of number or null"
    assert type_name(list[str] | None) == "list of text or null"


def test_a_bar_does_not_break_a_table() -> None:
    assert table(["a"], [["x | y"]])[2] == "| x \\| y |"


def test_the_picture_needs_its_marks_and_keeps_the_rest() -> None:
    page = f"before\n{picture.BEGIN}\nold\n{picture.END}\nafter"
    drawn = picture.drawn_into(page)
    assert drawn.startswith("before\n")
    assert drawn.endswith("\nafter")
    assert picture.drawn_into(drawn) == drawn
    assert max(map(len, picture.drawing().splitlines())) <= 100
    with pytest.raises(Refused, match="no place for the picture"):
        picture.drawn_into("nothing")


def test_pages_are_written_where_they_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path) == 1
    assert "run this from the folder of the repository" in capsys.readouterr().err
    (tmp_path / "reference").mkdir()
    (tmp_path / "concepts.md").write_text(f"{picture.BEGIN}\n{picture.END}\n", "utf-8")
    assert main(tmp_path) == 0
    assert str(tmp_path / "reference/events.md") in capsys.readouterr().out
    assert (tmp_path / "reference/events.md").read_text("utf-8") == events.page()
    assert main(tmp_path) == 0
    assert capsys.readouterr().out == ""
