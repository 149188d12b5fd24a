"""The shipped words: complete, honest, and rendered by the real renderer without a rough edge."""

import json
import re
from functools import cache
from pathlib import Path

import msgspec
import pytest

from engine.actions import Content
from engine.errors import Refused
from engine.events import Line
from engine.ports import Case
from rules.campaigns import load, shipped
from rules.templates import artefact, names, read, unedited
from streams.delivery.lint import lint
from streams.delivery.renderer import LiquidRenderer, build
from streams.delivery.sms import parts
from tests.support.builders import START, USER, a_cart_campaign, a_policy, a_profile, a_trigger

CHANNELS = ("push", "sms", "email")
LOCALES = ("zh-CN", "en")
ITEMS = {
    "none": [],
    "nameless": [Line("p-1")],
    "one": [Line("p-1", 1, 129.0, "Runner 8", "CNY")],
    "two": [Line("p-1", 1, 129.0, "Runner 8", "CNY"), Line("p-2", 2, 9.9, "Socks", "CNY")],
    "many": [Line(f"p-{n}", 1, None, f"Thing {n}") for n in range(16)],
}


@cache
def renderer() -> LiquidRenderer:
    return build(artefact())


def render(template: str, locale: str, channel: str, items: list[Line]) -> Content:
    profile = a_profile()
    profile.locale = locale
    campaign = a_cart_campaign(template=template)
    policy = a_policy(campaign, app="Kiln & Co")
    case = Case(USER, profile, a_trigger(), campaign, policy, START, dry_run=False)
    return renderer().render(case, channel, items)


def every() -> list[tuple[str, str, str]]:
    return [(t, lo, c) for t in sorted(names(artefact())) for lo in LOCALES for c in CHANNELS]


def test_every_campaign_has_words_for_every_channel_in_both_languages() -> None:
    policy = load(shipped(), "campaigns.toml")
    assert {campaign.template for campaign in policy.campaigns.values()} == names(artefact())
    assert set(read(artefact()).files) == {
        f"{template}/{locale}/{channel}.liquid" for template, locale, channel in every()
    }


def test_the_linter_of_the_renderer_finds_nothing() -> None:
    assert lint(artefact(), load(shipped(), "campaigns.toml")) == []


@pytest.mark.parametrize(("template", "locale", "channel"), every())
@pytest.mark.parametrize("kind", sorted(ITEMS))
def test_the_words_are_whole_whatever_we_know(
    template: str, locale: str, channel: str, kind: str
) -> None:
    said = render(template, locale, channel, ITEMS[kind])
    texts = [text for text in (said.title, said.subject, said.body, said.html) if text is not None]
    for text in texts:
        assert text.strip() == text
        assert not re.search(r"\{|\}|None|nil|「」|  \S|\s[,.?!]|^[,.:]|p-1\b(?!\")", text), text
    assert said.deep_link is not None
    if kind in {"one", "two"} and channel != "email":
        assert "Runner 8" in said.body
    if kind == "two" and channel == "push":
        assert ("2 种商品" if locale == "zh-CN" else "1 more item") in said.body


@pytest.mark.parametrize(("template", "locale", "channel"), every())
def test_nothing_hurries_her_and_nothing_is_promised(
    template: str, locale: str, channel: str
) -> None:
    text = read(artefact()).files[f"{template}/{locale}/{channel}.liquid"]
    hurry = r"hurry|last chance|only .* left|expires|reserved|limited|now!"
    hurry += "|抓紧|仅剩|马上|最后|限时|立即"
    assert not re.search(hurry, text, re.IGNORECASE)


@pytest.mark.parametrize("locale", LOCALES)
def test_an_sms_names_its_sender_and_how_to_refuse_in_one_part(locale: str) -> None:
    begins, ends = {
        "zh-CN": ("【Kiln & Co】", "拒收请回复R"),
        "en": ("Kiln & Co: ", "Reply STOP to opt out"),
    }[locale]
    for template in names(artefact()):
        body = render(template, locale, "sms", ITEMS["two"]).body
        assert body.startswith(begins)
        assert body.endswith(ends)
        assert parts(body) == 1
        assert "\n" not in body


@pytest.mark.parametrize("locale", LOCALES)
def test_an_email_can_be_left_from_both_of_its_parts_and_escapes_what_the_shop_says(
    locale: str,
) -> None:
    for template in names(artefact()):
        said = render(template, locale, "email", ITEMS["two"])
        assert said.subject
        assert said.html is not None
        assert "/unsubscribe?" in said.body
        assert "/unsubscribe?" in said.html
        assert "Kiln &amp; Co" in said.html
        # Chinese rules ask advertising to be named in front of the subject
        assert said.subject.startswith("【广告】") == (locale == "zh-CN")


def test_the_artefact_is_canonical() -> None:
    content = artefact()
    assert content == artefact()
    assert content.startswith(b'{"v":1,"files":{"cart/en/email.liquid":"')
    assert list(json.loads(content)["files"]) == sorted(json.loads(content)["files"])


def test_a_shops_own_folder_adds_and_replaces(tmp_path: Path) -> None:
    place = tmp_path / "cart" / "en"
    place.mkdir(parents=True)
    mine = "title: Hi\r\ndeep_link: https://kiln.test/cart\r\n---\r\nYour cart.\r\n"
    (place / "push.liquid").write_bytes(b"\xef\xbb\xbf" + mine.encode())
    (tmp_path / "autumn" / "de").mkdir(parents=True)
    (tmp_path / "autumn" / "de" / "push.liquid").write_text("title: Hallo\n---\nHerbst.\n")
    (tmp_path / "README.md").write_text("not a template")
    content = artefact(tmp_path)
    assert read(content).files["cart/en/push.liquid"] == mine.replace("\r\n", "\n")
    assert names(content) == names(artefact()) | {"autumn"}
    assert "cart/en/push.liquid" in unedited(artefact())
    assert "cart/en/push.liquid" not in unedited(content)


def test_a_file_in_a_wrong_place_or_not_utf8_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not a folder"):
        artefact(tmp_path / "nowhere")
    wrong = tmp_path / "push.liquid"
    wrong.write_text("x")
    with pytest.raises(Refused, match=r"^push\.liquid:1: not where templates are looked for; name"):
        artefact(tmp_path)
    wrong.unlink()
    (tmp_path / "cart" / "en").mkdir(parents=True)
    (tmp_path / "cart" / "en" / "push.liquid").write_bytes("价".encode("gbk"))
    with pytest.raises(Refused, match="not UTF-8; save it as UTF-8"):
        artefact(tmp_path)


def test_what_is_no_template_set_is_refused_with_one_sentence() -> None:
    for content in (
        b"",
        b"[]",
        b'{"v":1}',
        b"\xff",
        msgspec.json.encode({"v": 1, "files": {"a": 1}}),
    ):
        with pytest.raises(Refused, match="not a template set"):
            read(content)
    with pytest.raises(Refused, match="version 2"):
        read(b'{"v":2,"files":{}}')
