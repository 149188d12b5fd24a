"""Judges a template set before it is put in force: every file with four samples."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.actions import Content
from engine.errors import Refused
from engine.events import Line
from engine.policy import Campaign, Policy
from engine.ports import Case, TemplateFailed
from engine.profile import Profile, Trigger
from streams.delivery.renderer import FALLBACK, NAMES, LiquidRenderer, Words, build, chain, split
from streams.delivery.sms import parts

# An SMS of more parts is paid for more than three times, and split on old phones.
MAX_SMS_PARTS: Final = 3
# Notification centres cut longer titles; a long name must not push the meaning out.
MAX_TITLE: Final = 200

# How a person says no, by language; an SMS must offer one of the words of its language.
OPT_OUT: Final[Mapping[str, tuple[str, ...]]] = {
    "zh": ("退订", "拒收", "回T", "回复T", "退訂"),
    "en": ("stop", "unsubscribe", "opt out", "opt-out"),
    "de": ("stop", "abmelden"),
    "fr": ("stop", "désabonn", "désinscri"),
    "es": ("stop", "baja"),
    "ja": ("配信停止", "停止"),
}
_UNSUBSCRIBE: Final = (*(word for words in OPT_OUT.values() for word in words), "list-unsubscribe")

_SCRIPT: Final = "<script>alert(1)</script>"
_SAMPLES: Final[Mapping[str, list[Line]]] = {
    "no product": [],
    "one product without name and price": [Line("p-1")],
    "two products": [Line("p-1", 1, 129.0, "Runner 8"), Line("p-2", 2, 9.9, "Socks, 3 pairs")],
    "hostile products": [
        Line(
            '"><' + _SCRIPT,
            2_000_000_000,
            1e15,
            f"{_SCRIPT}\r\nBcc: all@example.org {{{{ 7 | times: 6 }}}} {{% raw %}} {'x' * 5_000}",
            "<b>",
        ),
        *(Line(f"p-{n}", 1, 0.0, "\u202e\U0001f600" * 60) for n in range(15)),
    ],
}


def lint(content: bytes, policy: Policy | None = None) -> list[str]:
    """Return what is wrong with a template set, one sentence each; empty = good.

    With ``policy`` also whether every campaign finds words for each of its channels.
    """
    try:
        renderer = build(content)
    except Refused as refused:
        return [str(refused)]
    problems = [problem for words in _in_order(renderer) for problem in _file(renderer, words)]
    if policy is not None:
        problems += _missing(renderer, policy)
    return problems


def notes(content: bytes) -> list[str]:
    """Return what is worth knowing: in how many parts each SMS is billed."""
    renderer = build(content)
    found = []
    for words in _in_order(renderer):
        if split(words.name)[2] == "sms" and not words.broken:
            counted = {kind: parts(said.body) for kind, said in _renderings(renderer, words)}
            typical = counted.get("two products")
            if typical is not None:
                found.append(
                    f"{words.name}: {typical} part(s), at most {max(counted.values())} with names "
                    "as long as they get."
                )
    return found


def _in_order(renderer: LiquidRenderer) -> list[Words]:
    return [renderer.words[name] for name in sorted(renderer.words)]


def _missing(renderer: LiquidRenderer, policy: Policy) -> list[str]:
    there = {split(name)[::2] for name in renderer.words}
    return [
        f"Campaign {campaign.id} speaks by {channel} but template {campaign.template} has no words "
        f"for it: add {campaign.template}/en/{channel}.liquid, or take {channel} out of channels."
        for campaign in policy.campaigns.values()
        for channel in campaign.channels
        if (campaign.template, channel) not in there
    ]


def _file(renderer: LiquidRenderer, words: Words) -> list[str]:
    if words.broken:
        return [words.broken]
    problems = _unknown_names(words)
    if problems:
        return problems
    channel = split(words.name)[2]
    for kind, sample in _SAMPLES.items():
        try:
            said = _render(renderer, words, sample)
        except TemplateFailed as failed:
            problems.append(f"{failed} (with {kind}).")
            continue
        problems += [
            f"{words.name}: {problem} (with {kind})." for problem in _said(said, channel, words)
        ]
    return list(dict.fromkeys(problems))


def _unknown_names(words: Words) -> list[str]:
    """Find a mistyped name even where the samples never pass."""
    used = {
        name
        for template in words.parts.values()
        if not isinstance(template, str)
        for name in template.analyze().globals
        if name not in NAMES
    }
    known = ", ".join(sorted(NAMES))
    return [f"{words.name}: {name!r} is not known; there are {known}." for name in sorted(used)]


def _renderings(renderer: LiquidRenderer, words: Words) -> Iterator[tuple[str, Content]]:
    for kind, sample in _SAMPLES.items():
        try:
            yield kind, _render(renderer, words, sample)
        except TemplateFailed:
            continue


def _render(renderer: LiquidRenderer, words: Words, sample: list[Line]) -> Content:
    template, locale, channel = split(words.name)
    return renderer.render(_case(template, locale), channel, sample)


def _said(said: Content, channel: str, words: Words) -> Iterator[str]:
    if not said.body.strip():
        yield "the body is empty"
    yield from _links(said)
    match channel:
        case "push":
            if not said.title:
                yield "a push needs a title: head line"
            elif len(said.title) > MAX_TITLE:
                yield f"the title is {len(said.title)} characters long, at most {MAX_TITLE} show"
        case "sms":
            yield from _sms(said.body, words.locale)
        case "email":
            yield from _email(said)
        case _:
            pass


def _links(said: Content) -> Iterator[str]:
    whole = "\n".join(filter(None, (said.body, said.html)))
    if re.search(r"\bhttp://", whole):
        yield "links are https only, and there is one with http://"
    if said.html is not None:
        if re.search(r"(?i)javascript:", whole):
            yield "a link runs a script"
        if _SCRIPT in said.html:
            yield "what comes from the shop is not escaped in the HTML part"


def _sms(body: str, locale: str) -> Iterator[str]:
    language = chain(locale)[-1].lower() if chain(locale) else FALLBACK
    words = OPT_OUT.get(language, _UNSUBSCRIBE)
    if not any(word.lower() in body.lower() for word in words):
        yield f"an SMS must say how to stop it, for example {words[0]!r}"
    if parts(body) > MAX_SMS_PARTS:
        yield f"the SMS is billed as {parts(body)} parts, more than {MAX_SMS_PARTS}: truncate names"


def _email(said: Content) -> Iterator[str]:
    if not said.subject:
        yield "an e-mail needs a subject: head line"
    for part, text in (("body", said.body), ("HTML part", said.html)):
        if text is not None and not any(word.lower() in text.lower() for word in _UNSUBSCRIBE):
            yield f"the {part} must say how to unsubscribe"


def _case(template: str, locale: str) -> Case:
    """Return a case whose reader reads ``locale`` and whose campaign uses ``template``."""
    values: dict[str, Any] = {"version": 1, "channels": (), "lift": {}, "conversion_window": 1}
    campaign = Campaign(
        id="sample",
        trigger="cart_abandonment",
        template=template,
        margin=0.3,
        prior_order_rate=0.1,
        **values,
    )
    policy = Policy(
        app="shop",
        mode="dry_run",
        currency="CNY",
        timezone="UTC",
        basket=1.0,
        channels={},
        campaigns={},
    )
    trigger = Trigger("sample", "cart_abandonment", "", "e", 0, 0, 0, 0, 0)
    return Case("u-1", Profile(locale=locale), trigger, campaign, policy, 0, dry_run=True)
