"""Reads documentation as a reader does: fenced blocks, headings, links, terminal sessions."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

# Of a terminal session: whatever a reader's own machine says here.
ANYTHING = "..."
PROMPT = "$ "

_FENCE = re.compile(r"^( *)(`{3,})(.*)$")
_LINK = re.compile(r"(?<!\!)\[(?:[^\]\\]|\\.)*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.*)$")
_INLINE = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``marks`` are the words after its language, ``file=NAME`` among them."""

    page: Path
    line: int
    language: str
    marks: frozenset[str]
    text: str

    def __str__(self) -> str:
        """Return where it stands."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """Return the name a reader would save it under."""
        named = [mark.partition("=")[2] for mark in self.marks if mark.startswith("file=")]
        return named[0] if named else None


@dataclass(frozen=True, slots=True)
class Spoken:
    """One command of a terminal session and what it answers; None = the page does not say."""

    command: str
    answer: str | None


def pages() -> list[Path]:
    """Return every page a reader may open."""
    return [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    begun: tuple[int, str, str, str] | None = None
    kept: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if begun is None:
            if fence is not None:
                begun, kept = (number, fence[1], fence[2], fence[3].strip()), []
        elif fence is not None and fence[2] == begun[2] and not fence[3].strip():
            language, *marks = begun[3].split() or [""]
            text = "".join(f"{one.removeprefix(begun[1])}\n" for one in kept)
            yield Block(page, begun[0], language, frozenset(marks), text)
            begun = None
        else:
            kept.append(line)
    assert begun is None, f"{page}:{begun} is never closed"


def prose(page: Path) -> str:
    """Return a page without its blocks."""
    lines, inside = [], False
    for line in page.read_text("utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def links(page: Path) -> list[str]:
    """Return where the links of a page lead, but those to other sites."""
    targets = _LINK.findall(_INLINE.sub("", prose(page)))
    return [
        target for target in targets if "://" not in target and not target.startswith("mailto:")
    ]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for line in prose(page).splitlines():
        heading = _HEADING.match(line)
        if heading is not None:
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "")
            kept = "".join(c for c in words.lower() if c.isalnum() or c in " -_")
            found.add(kept.replace(" ", "-"))
    return found


def session(text: str) -> list[Spoken]:
    """Return the commands of a block: after each ``$ `` with its answer, else one per line."""
    joined = re.sub(r" *\\\n *", " ", text)
    lines = joined.splitlines()
    if not any(line.startswith(PROMPT) for line in lines):
        return [Spoken(line, None) for line in lines if line.strip() and line[0] != "#"]
    spoken: list[Spoken] = []
    for line in lines:
        if line.startswith(PROMPT):
            spoken.append(Spoken(line.removeprefix(PROMPT), ""))
        else:
            last = spoken.pop()
            spoken.append(Spoken(last.command, f"{last.answer}{line}\n"))
    return spoken


def words(command: str) -> tuple[dict[str, str], list[str]]:
    """Return the variables set before a command, and its words; comments are dropped."""
    found = shlex.split(command, comments=True)
    variables: dict[str, str] = {}
    while found and re.match(r"[A-Z_]+=", found[0]):
        name, _, value = found.pop(0).partition("=")
        variables[name] = value
    return variables, found


def answers(said: str, expected: str) -> bool:
    """Return whether a command said what the page shows; ``...`` stands for anything."""
    parts = [re.escape(part) for part in expected.strip().split(ANYTHING)]
    return re.fullmatch(".*".join(parts), said.strip(), re.DOTALL) is not None
