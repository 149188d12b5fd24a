"""Makes the words of a message from Liquid templates: the real twin of the port Renderer.

Pure: template set, case and items give the text. Nothing in a template reaches a clock, a file, the
network or an object of ours; loops and output are bounded, so that hostile templates end in
TemplateFailed within milliseconds.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, format_decimal
from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError
from liquid.undefined import FalsyStrictUndefined

from engine.actions import Content, Item
from engine.decisions import ids
from engine.errors import Refused
from engine.events import Line
from engine.ports import Case, TemplateFailed
from rules import templates
from streams.delivery.liquid_context import render

# What a template may name (rules/templates/__init__.py says what each means); the linter refuses
# any other name.
NAMES: Final = frozenset(
    {"items", "first_item", "more", "shop", "locale", "deep_link", "unsubscribe_url"}
)

RULE: Final = "---"
HEADS: Final = ("title", "subject", "deep_link")
SUFFIX: Final = ".liquid"
FALLBACK: Final = "en"

# A product name is the shop's free text; longer than this it would fill the screen.
_LONGEST_NAME: Final = 120
# Beyond 28 digits decimals cannot be rounded; long before that it is no price.
_NO_PRICE: Final = 1e15
_TEXT_OUTPUT, _HTML_OUTPUT = 20_000, 48_000


class _Text(Environment):
    """Liquid for text: no escaping, and the limits under which every known attack ended."""

    loop_iteration_limit = 1_000
    output_stream_limit = _TEXT_OUTPUT
    local_namespace_limit = 10_000
    context_depth_limit = 20

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Take away what would make the words depend on anything but the context."""
        super().setup_tags_and_filters(extra=extra)
        self.filters.pop("date", None)  # {{ "now" | date }} reads the clock
        for tag in ("include", "render", "extends", "block"):  # read other files
            self.tags.pop(tag, None)


class _Html(_Text):
    """Liquid for HTML: everything that comes from the context is escaped."""

    output_stream_limit = _HTML_OUTPUT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Take away the way around escaping, too."""
        super().setup_tags_and_filters(extra=extra)
        self.filters.pop("safe", None)


_text = _Text(undefined=FalsyStrictUndefined, strict_filters=True, autoescape=False)
_html = _Html(undefined=FalsyStrictUndefined, strict_filters=True, autoescape=True)


@dataclass(frozen=True, slots=True)
class Words:
    """One template file: its parsed parts, or the reason why it cannot be used."""

    name: str
    locale: str
    digest: str
    parts: Mapping[str, BoundTemplate | str] = field(default_factory=dict)
    broken: str = ""


def parse(name: str, text: str) -> Words:
    """Parse one file; one that cannot be parsed becomes broken words, and spares its neighbours."""
    _, locale, _ = split(name)
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    try:
        parts = {part: _compiled(part, source) for part, source in _sections(text)}
    except LiquidError as error:
        return Words(name, locale, digest, broken=f"{name}: {_first_line(error)}")
    except ValueError as error:
        return Words(name, locale, digest, broken=f"{name}:{error}")
    return Words(name, locale, digest, parts)


def _compiled(part: str, source: str) -> BoundTemplate | str:
    """Parse one part; one that is the same for everybody stays the text it is (10 us each)."""
    if "{" not in source:
        return source
    return (_html if part == "html" else _text).from_string(source)


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a file; a ValueError says the line and what to mend."""
    lines = text.splitlines()
    if RULE not in lines:
        message = f'1: no line "{RULE}": put one between the head lines and the text'
        raise ValueError(message)
    end = lines.index(RULE)
    for number, line in enumerate(lines[:end], 1):
        key, _, value = line.partition(":")
        if key.strip() not in HEADS or not value.strip():
            message = (
                f'{number}: {line!r} is no head line: write one of {", ".join(HEADS)} and ": "'
            )
            raise ValueError(message)
        yield key.strip(), value.strip()
    body, _, html = "\n".join(lines[end + 1 :]).partition(f"\n{RULE}\n")
    yield "body", body.strip("\n")
    if html.strip():
        yield "html", html.strip("\n")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


# --- locales -------------------------------------------------------------------------------------


def chain(tag: str) -> list[str]:
    """Return a locale and what it falls back to: zh-Hant-HK, zh-Hant, zh.

    Takes the spellings of phones and browsers: ``zh_CN``, ``en-US@posix``, ``en-US.UTF-8``.
    """
    clean = re.split(r"[@.;,]", tag.strip(), maxsplit=1)[0].replace("_", "-")
    subtags = [subtag for subtag in clean.split("-") if subtag.isalnum() and subtag.isascii()]
    return ["-".join(subtags[:length]) for length in range(len(subtags), 0, -1)]


def best_locale(tag: str, there: Sequence[str]) -> str | None:
    """Return which of the locales there are speaks to ``tag``; None only when there are none.

    Each link of the chain first by itself, then as a beginning (``zh`` finds ``zh-CN``); then
    English, then the first in order.
    """
    ordered = sorted(there)
    for wanted in [*chain(tag), FALLBACK]:
        low = wanted.lower()
        for locale in ordered:
            if locale.lower() == low:
                return locale
        for locale in ordered:
            if locale.lower().startswith(f"{low}-"):
                return locale
    return ordered[0] if ordered else None


@lru_cache(maxsize=256)
def _cldr(tag: str) -> Locale:
    for link in chain(tag):
        try:
            return Locale.parse(link, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse(FALLBACK)


@lru_cache(maxsize=8192)
def money(amount: float, currency: str, locale: str) -> str:
    """Write an amount as readers of ``locale`` do; cached, because CLDR takes 160 to 200 us."""
    if not abs(amount) < _NO_PRICE:
        return ""
    if not re.fullmatch(r"[A-Z]{3}", currency):
        return str(format_decimal(amount, format="#,##0.00", locale=_cldr(locale)))
    return str(format_currency(amount, currency, locale=_cldr(locale)))


# --- rendering -----------------------------------------------------------------------------------


class LiquidRenderer:
    """Renders the files of one template set, each parsed once."""

    def __init__(self, words: Mapping[str, Words]) -> None:
        """``words``: parsed files by name, ``<template>/<locale>/<channel>.liquid``."""
        self.words = words
        self._locales: dict[tuple[str, str], list[str]] = {}
        for name in words:
            template, locale, channel = split(name)
            self._locales.setdefault((template, channel), []).append(locale)
        self._found: dict[tuple[str, str, str], Words] = {}

    def render(self, case: Case, channel: str, items: Sequence[Line]) -> Content:
        """Return the content for one channel; raises TemplateFailed."""
        words = self.find(case.campaign.template, channel, case.profile.locale)
        currency = case.policy.currency
        shown = [_item(line, currency, words.locale) for line in items]
        plain = [
            {
                "product_id": item.product_id,
                "name": item.name,
                "price": item.price,
                "quantity": line.quantity,
            }
            for item, line in zip(shown, items, strict=True)
        ]
        context = {
            "items": plain,
            "first_item": plain[0] if plain else None,
            "more": max(0, len(plain) - 1),
            "shop": case.policy.app,
            "locale": words.locale,
        }
        link = _link(words, _fill(words, "deep_link", context))
        if link is not None:
            context["deep_link"] = link
            context["unsubscribe_url"] = _unsubscribe(link, ids(case)[0], channel)
        template, locale, _ = split(words.name)
        return Content(
            template=f"{template}/{locale}/{words.digest}",
            title=one_line(_fill(words, "title", context)),
            body=_fill(words, "body", context) or "",
            subject=one_line(_fill(words, "subject", context)),
            html=_fill(words, "html", context),
            deep_link=link,
            items=shown,
        )

    def find(self, template: str, channel: str, locale: str) -> Words:
        """Return the file that speaks to a reader of ``locale``; raises TemplateFailed."""
        asked = template, channel, locale
        found = self._found.get(asked)
        if found is None:
            best = best_locale(locale, self._locales.get((template, channel), ()))
            if best is None:
                message = f"no template {template} for {channel}"
                raise TemplateFailed(message)
            found = self.words[f"{template}/{best}/{channel}{SUFFIX}"]
            if len(self._found) < 10_000:  # locales are free text of the apps
                self._found[asked] = found
        if found.broken:
            raise TemplateFailed(found.broken)
        return found


def _fill(words: Words, part: str, context: Mapping[str, Any]) -> str | None:
    """Render one part of a file; raises TemplateFailed."""
    template = words.parts.get(part)
    if template is None or isinstance(template, str):
        return template
    try:
        return render(template, context)
    except (LiquidError, ArithmeticError, ValueError, TypeError, RecursionError) as error:
        message = f"{words.name}: {part}: {_first_line(error)}"
        raise TemplateFailed(message) from error


def split(name: str) -> tuple[str, str, str]:
    """Return template, locale and channel of a file name; raises Refused for any other name."""
    parts = name.removesuffix(SUFFIX).split("/")
    if len(parts) != 3 or not all(parts) or not name.endswith(SUFFIX):
        message = f"{name!r} is no template file: call it <template>/<locale>/<channel>{SUFFIX}."
        raise Refused(message)
    return parts[0], parts[1], parts[2]


def one_line(text: str | None) -> str | None:
    """Return a header value: line breaks and controls would smuggle a second header in."""
    if text is None:
        return None
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def _link(words: Words, text: str | None) -> str | None:
    link = (text or "").strip()
    if not link:
        return None
    if not re.fullmatch(r"https://[^\s\x00-\x20\"<>\\/]+(/[^\s\x00-\x20\"<>\\]*)?", link):
        message = f"{words.name}: deep_link {link[:80]!r} is no https link"
        raise TemplateFailed(message)
    return link


def _unsubscribe(link: str, action_id: str, channel: str) -> str:
    """Return where she leaves: a page of the shop's own host, told which action, and no person."""
    host = link.removeprefix("https://").partition("/")[0]
    return f"https://{host}/unsubscribe?action={action_id}&channel={channel}"


def _item(line: Line, currency: str, locale: str) -> Item:
    name = one_line(line.name) or ""
    if len(name) > _LONGEST_NAME:
        name = name[: _LONGEST_NAME - 1].rstrip() + "…"
    price = "" if line.price is None else money(line.price, line.currency or currency, locale)
    return Item(product_id=line.product_id, name=name, price=price)


def build(content: bytes) -> LiquidRenderer:
    """Compile a template set; raises Refused when it is none.

    A single file that does not parse only fails its own renderings; ``lint`` names it.
    """
    files = templates.read(content).files
    return LiquidRenderer({name: parse(name, text) for name, text in files.items()})
