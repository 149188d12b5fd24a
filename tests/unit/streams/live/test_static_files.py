"""The files of the live page: whole, ours or vendored as published, legible, and policy-abiding."""

import hashlib
import re
from pathlib import Path

import pytest

from streams.live.routes import HEADERS

STATIC = Path(__file__).parents[4] / "streams" / "live" / "static"
OURS = sorted(path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts)
_PAIR = re.compile(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);(.*)")
_GROUNDS = ("ground", "card", "sunken", "ok-ground", "warn-ground", "bad-ground")


def test_vendored_files_are_those_that_were_published() -> None:
    listed = {}
    for line in (STATIC / "vendor" / "SHA256SUMS").read_text().splitlines():
        if not line.startswith("#"):
            digest, name = line.split()
            listed[name] = digest
    present = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (STATIC / "vendor").iterdir()
        if path.name != "SHA256SUMS"
    }
    assert listed == present
    assert {"LICENSE", "uPlot.iife.min.js", "uPlot.min.css"} == set(present)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_needs_more_than_the_policy_allows(path: Path) -> None:
    text = path.read_text()
    assert "unsafe-inline" not in HEADERS["Content-Security-Policy"]
    outside = set(re.findall(r"https?://[\w./-]+", text)) - {"http://www.w3.org/2000/svg"}
    assert outside == set()
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert forbidden not in text, "text from the wire must never be read as HTML"
    for kept in ("localStorage", "sessionStorage", "document.cookie"):
        assert kept not in text, "the operator's token is kept in memory alone"
    if path.suffix == ".html":
        assert not re.search(r"\s(style|on\w+)=", text)
        assert not re.search(r"<script(?![^>]*\ssrc=)", text)


def test_every_module_is_imported_and_every_import_is_there() -> None:
    asked = set()
    for path in STATIC.rglob("*.js"):
        if "vendor" not in path.parts:
            for name in re.findall(r'from "(\.[^"]+)"', path.read_text()):
                asked.add((path.parent / name).resolve())
    modules = {path for path in OURS if path.suffix == ".js"}
    assert asked | {STATIC / "page.js"} == modules


def test_every_symbol_that_is_used_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="i-([\w-]+)"', (STATIC / "index.html").read_text()))
    used = set()
    for path in OURS:
        if path.suffix == ".js":
            used |= set(re.findall(r'icon\("([\w-]+)"\)', path.read_text()))
    assert used | {"ok", "warn", "bad", "unknown", "live", "pause", "play"} <= drawn


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(theme: int) -> None:
    palette = _palette()
    texts = [name for name, (_, note) in palette.items() if "text" in note]
    assert len(texts) >= 6
    for text in texts:
        for ground in _GROUNDS:
            ratio = contrast(palette[text][0][theme], palette[ground][0][theme])
            assert ratio >= 4.5, f"{text} on {ground}: {ratio:.2f}"
    assert contrast(palette["alarm-ink"][0][theme], palette["alarm-ground"][0][theme]) >= 4.5
    assert contrast(palette["card"][0][theme], palette["accent"][0][theme]) >= 4.5
    assert contrast(palette["edge"][0][theme], palette["card"][0][theme]) >= 3.0


def test_the_measure_of_contrast_knows_black_from_grey() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def _palette() -> dict[str, tuple[tuple[str, str], str]]:
    css = (STATIC / "page.css").read_text()
    return {name: ((light, dark), note) for name, light, dark, note in _PAIR.findall(css)}


def contrast(one: str, other: str) -> float:
    """Return the ratio of WCAG 2 between two colours."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
