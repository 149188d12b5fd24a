"""A pencil for small SVG files: few shapes, two colour schemes, text that says how wide it is.

The files need no renderer and no font of ours: any browser draws them, dark where the reader's
system is dark. Equal calls give equal bytes.
"""

from collections.abc import Sequence
from html import escape
from typing import Final, Literal

WIDTH: Final = 720
MARGIN: Final = 20

Role = Literal["ink", "soft", "line", "night", "plate", "first", "second", "third", "no"]
Anchor = Literal["start", "middle", "end"]

# Role: light, dark. Text on the ground has a contrast of 4.5 or more in both.
_GROUND: Final = ("#ffffff", "#0d1117")
_COLOURS: Final[dict[Role, tuple[str, str]]] = {
    "ink": ("#1f2328", "#e6edf3"),
    "soft": ("#59636e", "#9198a1"),
    "line": ("#d1d9e0", "#3d444d"),
    "night": ("#e8ebf3", "#1b2230"),
    "plate": ("#f2f5f8", "#161c24"),
    "first": ("#0969da", "#4493f8"),
    "second": ("#1a7f37", "#3fb950"),
    "third": ("#953800", "#f0883e"),
    "no": ("#cf222e", "#f85149"),
}
_FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif"
_MONO: Final = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"

# Widths in em, a little above those of common system fonts: a text must never be wider than said.
_NARROW: Final = frozenset("iljtfrI.,:;'|!()[]/ ")
_BROAD: Final = frozenset("mwMW@%\N{RIGHTWARDS ARROW}\N{EM DASH}")
_IN_MONO, _IN_BOLD = 0.62, 1.07


def width_of(said: str, size: float, *, bold: bool = False, mono: bool = False) -> float:
    """Return how wide a text is at most, in the canvas's units."""
    if mono:
        return len(said) * size * _IN_MONO
    ems = sum(_em(letter) for letter in said)
    return ems * size * (_IN_BOLD if bold else 1.0)


def _em(letter: str) -> float:
    if letter in _NARROW:
        return 0.35
    if letter in _BROAD:
        return 0.92
    if ord(letter) >= 0x2E80:  # CJK stands on a square
        return 1.0
    return 0.68 if letter.isupper() else 0.58


def wrapped(said: str, width: float, size: float, *, mono: bool = False) -> list[str]:
    """Return the text in lines that fit into ``width``, broken at plain spaces only."""
    lines: list[str] = []
    for word in said.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size, mono=mono) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


class Canvas:
    """One picture in the making; ``title`` and ``description`` are read to who cannot see it."""

    def __init__(self, title: str, description: str) -> None:
        """Begin with nothing drawn."""
        self._title = title
        self._description = description
        self._drawn: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        said: str,
        *,
        role: Role = "ink",
        size: float = 13,
        anchor: Anchor = "start",
        bold: bool = False,
        mono: bool = False,
    ) -> None:
        """Write one line, its baseline at ``y``."""
        looks = f"f-{role}" + " mono" * mono + " bold" * bold
        placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._drawn.append(
            f'<text x="{_n(x)}" y="{_n(y)}" class="{looks}" font-size="{_n(size)}"{placed}>'
            f"{escape(said, quote=False)}</text>"
        )

    def lines(
        self,
        x: float,
        y: float,
        said: Sequence[str],
        *,
        role: Role = "ink",
        size: float = 13,
        anchor: Anchor = "start",
        mono: bool = False,
    ) -> float:
        """Write lines below each other, the first at ``y``; returns where the next would stand."""
        for line in said:
            self.text(x, y, line, role=role, size=size, anchor=anchor, mono=mono)
            y += size * 1.3
        return y

    def bar(
        self, x: float, y: float, width: float, height: float, role: Role, radius: float = 3
    ) -> None:
        """Fill a rectangle."""
        self._drawn.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" '
            f'rx="{_n(radius)}" class="f-{role}"/>'
        )

    def frame(self, x: float, y: float, width: float, height: float, role: Role) -> None:
        """Draw the outline of a rectangle."""
        self._drawn.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="4" '
            f'class="s-{role}"/>'
        )

    def shape(self, points: Sequence[tuple[float, float]], role: Role) -> None:
        """Fill a polygon."""
        self._drawn.append(f'<polygon points="{_points(points)}" class="f-{role}"/>')

    def curve(
        self,
        points: Sequence[tuple[float, float]],
        role: Role,
        *,
        thick: float = 1,
        dashes: str = "",
    ) -> None:
        """Draw a line through points; ``dashes`` as in SVG, "" = solid."""
        broken = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._drawn.append(
            f'<polyline points="{_points(points)}" class="s-{role}" '
            f'stroke-width="{_n(thick)}"{broken}/>'
        )

    def dot(self, x: float, y: float, role: Role, radius: float = 5) -> None:
        """Draw a filled mark: something happened."""
        self._drawn.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" class="f-{role}"/>')

    def cross(self, x: float, y: float, role: Role, radius: float = 5) -> None:
        """Draw a crossed mark: something was refused."""
        for side in (-radius, radius):
            self.curve([(x - side, y - radius), (x + side, y + radius)], role, thick=2.5)

    def written(self, height: float) -> str:
        """Return the file."""
        return "\n".join(
            [
                (
                    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_n(height)}" '
                    f'width="{WIDTH}" height="{_n(height)}" role="img" '
                    'aria-labelledby="title desc">'
                ),
                f'<title id="title">{escape(self._title, quote=False)}</title>',
                f'<desc id="desc">{escape(self._description, quote=False)}</desc>',
                _style(),
                f'<rect width="{WIDTH}" height="{_n(height)}" rx="8" class="ground"/>',
                *self._drawn,
                "</svg>\n",
            ]
        )


def _style() -> str:
    fixed = (
        f"text{{font-family:{_FONT}}}.mono{{font-family:{_MONO}}}.bold{{font-weight:600}}"
        "rect,polyline{fill:none}"
    )
    light, dark = _scheme(0), _scheme(1)
    return f"<style>{fixed}{light}@media (prefers-color-scheme:dark){{{dark}}}</style>"


def _scheme(which: int) -> str:
    roles = "".join(
        f".f-{role}{{fill:{colours[which]}}}.s-{role}{{stroke:{colours[which]}}}"
        for role, colours in _COLOURS.items()
    )
    return f".ground{{fill:{_GROUND[which]}}}{roles}"


def _n(number: float) -> str:
    """Write a coordinate: one digit is finer than any screen."""
    return f"{round(number, 1):g}"


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


__all__ = ["MARGIN", "WIDTH", "Canvas", "Role", "width_of", "wrapped"]
