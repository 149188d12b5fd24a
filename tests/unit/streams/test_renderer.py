"""The words: locales, money, limits, and what a hostile template or product cannot do."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.actions import Content
from engine.errors import Refused
from engine.events import Line
from engine.policy import Campaign, Policy
from engine.ports import Case, TemplateFailed
from engine.profile import Profile, Trigger
from rules import templates
from streams.delivery.liquid_context import render
from streams.delivery.renderer import LiquidRenderer, best_locale, build, chain, money, parse

HEAD = "title: Hello\ndeep_link: https://shop.example/cart\n---\n"


def a_set(**files: str) -> bytes:
    """``cart__en__push="…"`` is the file cart/en/push.liquid."""
    named = {f"{name.replace('__', '/').replace('_', '-')}.liquid": t for name, t in files.items()}
    return msgspec.json.encode({"v": 1, "files": named})


def rendered(
    renderer: LiquidRenderer | bytes,
    channel: str = "push",
    items: list[Line] | None = None,
    locale: str = "en",
) -> Content:
    if isinstance(renderer, bytes):
        renderer = build(renderer)
    return renderer.render(a_case(locale), channel, items or [])


def a_case(locale: str) -> Case:
    campaign = Campaign(
        id="cart",
        version=1,
        trigger="cart_abandonment",
        channels=("push",),
        template="cart",
        margin=0.3,
        conversion_window=1,
        prior_order_rate=0.1,
        lift={},
    )
    policy = Policy(
        app="shop",
        mode="live",
        currency="CNY",
        timezone="UTC",
        basket=1.0,
        channels={},
        campaigns={},
    )
    trigger = Trigger("cart", "cart_abandonment", "", "e", 0, 0, 0, 0, 0)
    return Case("u-1", Profile(locale=locale), trigger, campaign, policy, 0, dry_run=False)


# --- locales -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "links"),
    [
        ("zh-Hant-HK", ["zh-Hant-HK", "zh-Hant", "zh"]),
        ("zh_CN", ["zh-CN", "zh"]),
        ("en-US@posix", ["en-US", "en"]),
        ("en-US.UTF-8", ["en-US", "en"]),
        ("", []),
        ("  de ", ["de"]),
        ("../../etc", ["etc"]),
    ],
)
def test_a_locale_falls_back_step_by_step(tag: str, links: list[str]) -> None:
    assert [link for link in chain(tag) if "/" not in link] == chain(tag)
    if tag != "../../etc":
        assert chain(tag) == links


@pytest.mark.parametrize(
    ("tag", "there", "found"),
    [
        ("zh-Hant-HK", ["en", "zh-CN", "zh-Hant"], "zh-Hant"),
        ("zh-Hant-HK", ["en", "zh-CN"], "zh-CN"),
        ("zh", ["en", "zh-CN"], "zh-CN"),
        ("ZH-cn", ["en", "zh-CN"], "zh-CN"),
        ("fr-FR", ["zh-CN", "en"], "en"),
        ("fr", ["zh-CN", "en-GB"], "en-GB"),
        ("", ["zh-CN", "de"], "de"),
        ("zhx", ["en", "zh-CN"], "en"),
        ("de", [], None),
    ],
)
def test_the_nearest_locale_speaks(tag: str, there: list[str], found: str | None) -> None:
    assert best_locale(tag, there) == found


@given(st.text(), st.lists(st.sampled_from(["en", "zh-CN", "zh-Hant", "de", "fr-CA"])))
def test_any_text_as_a_locale_finds_words_where_there_are_any(tag: str, there: list[str]) -> None:
    assert (best_locale(tag, there) in there) if there else best_locale(tag, there) is None


def test_the_locale_is_looked_up_per_channel() -> None:
    content = a_set(cart__en__push=f"{HEAD}hello", cart__de__sms="---\nhallo STOP")

    assert rendered(content, "sms", locale="en").body == "hallo STOP"
    assert rendered(content, "push", locale="de").body == "hello"


# --- money ---------------------------------------------------------------------------------------


def test_money_is_written_as_its_readers_write_it() -> None:
    assert money(1234.5, "CNY", "zh-CN") == "¥1,234.50"
    assert money(1234.5, "CNY", "en") == "CN¥1,234.50"
    assert money(1234.5, "EUR", "de") == "1.234,50\xa0€"


@pytest.mark.parametrize("currency", ["", "<b>", "yuan", "CNY2"])
def test_a_currency_that_is_none_is_not_printed(currency: str) -> None:
    assert money(9.9, currency, "en") == "9.90"


@pytest.mark.parametrize("amount", [float("inf"), float("nan"), 1e26, -1e26])
def test_an_amount_that_is_no_price_is_not_printed(amount: float) -> None:
    assert not money(amount, "CNY", "en")


def test_prices_carry_the_currency_of_the_event_not_of_the_reader() -> None:
    content = a_set(cart__en__push=HEAD + "{{ first_item.price }}")

    assert rendered(content, items=[Line("p", 1, 5.0, "n", "EUR")]).body == "€5.00"
    assert rendered(content, items=[Line("p", 1, 5.0, "n")]).body == "CN¥5.00"
    assert not rendered(content, items=[Line("p", 1, None, "n")]).body


# --- what a template is given --------------------------------------------------------------------


def test_every_documented_name_is_there() -> None:
    text = (
        "{{ items.size }}|{{ first_item.name }}|{{ first_item.product_id }}|"
        "{{ first_item.quantity }}|{{ more }}|{{ shop }}|{{ locale }}|{{ deep_link }}|"
        "{{ unsubscribe_url }}"
    )
    content = rendered(a_set(cart__en__push=HEAD + text), items=[Line("p", 2, 1.0, "N"), Line("q")])

    start, _, address = content.body.rpartition("|")
    assert start == "2|N|p|2|1|shop|en|https://shop.example/cart"
    assert address.startswith("https://shop.example/unsubscribe?action=")
    assert "u-1" not in address


def test_the_unsubscribe_address_names_the_action_and_the_channel() -> None:
    body = "---\n{{ unsubscribe_url }}"
    content = a_set(cart__en__email=f"subject: s\ndeep_link: https://a.example/x\n{body}")

    first, second = rendered(content, "email").body, rendered(content, "email").body
    assert first == second
    assert first.startswith("https://a.example/unsubscribe?")
    assert first.endswith("&channel=email")


def test_an_unknown_name_fails_instead_of_leaving_a_hole() -> None:
    with pytest.raises(TemplateFailed, match="frist_item"):
        rendered(a_set(cart__en__push=HEAD + "Hi {{ frist_item.name }},"))


def test_a_template_that_is_not_there_fails() -> None:
    with pytest.raises(TemplateFailed, match="no template cart for sms"):
        rendered(a_set(cart__en__push=HEAD + "x"), "sms")


def test_a_broken_file_spares_its_neighbours() -> None:
    content = a_set(cart__en__push=HEAD + "{% if %}", cart__en__sms="---\nfine")

    assert rendered(content, "sms").body == "fine"
    with pytest.raises(TemplateFailed, match=r"cart/en/push\.liquid"):
        rendered(content, "push")


def test_the_template_is_named_with_the_hash_of_its_words() -> None:
    first = rendered(a_set(cart__en__push=f"{HEAD}a")).template
    second = rendered(a_set(cart__en__push=f"{HEAD}b")).template

    assert first.startswith("cart/en/")
    assert first != second


def test_the_shipped_words_speak_chinese_to_readers_of_chinese() -> None:
    content = build(templates.artefact()).render(
        a_case("zh-CN"), "push", [Line("p", 1, 9.9, "跑鞋")]
    )

    assert content.template.startswith("cart/zh-CN/")
    assert "跑鞋" in f"{content.title}{content.body}"


def test_content_that_is_no_template_set_is_refused() -> None:
    for content in (b"", b"{}", b'{"v":2,"files":{}}', b"\xff"):
        with pytest.raises(Refused):
            build(content)


# --- what hostile input cannot do ----------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [
        "{% for i in (1..100000) %}{% for j in (1..100000) %}x{% endfor %}{% endfor %}",
        "{% assign x = 'aaa' %}{% for i in (1..99) %}{% assign x = x | append: x %}{% endfor %}",
        "{% for i in (1..1000) %}" + "x" * 100 + "{% endfor %}",
        "{{ 'now' | date: '%Y' }}",
        "{{ now }}",
        "{% assign day = today %}{{ day }}",
        "{% for i in (1..9) %}{{ now }}{% endfor %}",
        "{% capture day %}{{ today }}{% endcapture %}{{ day }}",
        "{% capture x %}{% for i in (1..1000) %}" + "x" * 100 + "{% endfor %}{% endcapture %}",
        "{% include 'cart/en/sms' %}",
        "{% render 'cart/en/sms' %}",
        "{{ shop.__class__.__mro__ }}",
        "{{ items.__len__ }}",
        "{{ 1 | divided_by: 0 }}",
        "{{ 'a' | nosuch }}",
    ],
)
def test_a_hostile_template_ends_in_an_error(attack: str) -> None:
    with pytest.raises(TemplateFailed):
        rendered(a_set(cart__en__push=HEAD + attack))


@pytest.mark.parametrize(("letter", "most"), [("x", 20_000), ("é", 10_000), ("字", 6_666)])
def test_output_is_bounded_in_bytes(letter: str, most: int) -> None:
    body = "{% for i in (1..1000) %}" + letter * 6 + "{% endfor %}"
    rest = most - 6_000
    assert len(rendered(a_set(cart__en__push=HEAD + body + letter * rest)).body) == most

    with pytest.raises(TemplateFailed, match="output stream limit"):
        rendered(a_set(cart__en__push=HEAD + body + letter * (rest + 1)))


def test_html_is_escaped_and_text_is_not() -> None:
    content = a_set(
        cart__en__email="subject: {{ first_item.name }}\n---\n{{ first_item.name }}\n---\n"
        "<p>{{ first_item.name }}</p>"
    )

    said = rendered(content, "email", [Line("p", 1, None, "<b>&")])

    assert said.body == "<b>&"
    assert said.html == "<p>&lt;b&gt;&amp;</p>"


def test_there_is_no_way_around_escaping() -> None:
    content = a_set(cart__en__email="subject: s\n---\nx\n---\n{{ first_item.name | safe }}")

    with pytest.raises(TemplateFailed, match="safe"):
        rendered(content, "email", [Line("p", 1, None, "<b>")])


def test_a_line_break_in_a_name_cannot_make_a_second_header() -> None:
    content = a_set(
        cart__en__push="title: {{ first_item.name }}\n---\nx",
        cart__en__email="subject: {{ first_item.name }}\n---\nx",
    )
    hostile = [Line("p", 1, None, "Shoes\r\nBcc: all@example.org\x00\u2028x")]

    assert rendered(content, "push", hostile).title == "Shoes Bcc: all@example.org x"
    assert rendered(content, "email", hostile).subject == "Shoes Bcc: all@example.org x"


def test_liquid_in_a_name_stays_a_name() -> None:
    said = rendered(
        a_set(cart__en__push=HEAD + "{{ first_item.name }}"),
        items=[Line("p", 1, None, "{{ 7 | times: 6 }}")],
    )

    assert said.body == "{{ 7 | times: 6 }}"


def test_a_long_name_is_cut() -> None:
    said = rendered(
        a_set(cart__en__push=HEAD + "{{ first_item.name }}"),
        items=[Line("p", 1, None, "x" * 5_000)],
    )

    assert len(said.body) == 120
    assert said.body.endswith("…")


@pytest.mark.parametrize(
    "link", ["http://shop.example", "javascript:alert(1)", "https://", "https://a b", "shop://cart"]
)
def test_only_https_links_are_sent(link: str) -> None:
    with pytest.raises(TemplateFailed, match="https"):
        rendered(a_set(cart__en__push=f"title: t\ndeep_link: {link}\n---\nx"))


@given(
    st.lists(
        st.builds(
            Line,
            product_id=st.text(),
            quantity=st.integers(-(2**40), 2**40),
            price=st.none() | st.floats(allow_nan=False),
            name=st.text(),
            currency=st.text(max_size=4),
        ),
        max_size=16,
    ),
    st.sampled_from(["push", "sms", "email"]),
    st.text(max_size=12),
)
def test_no_product_breaks_the_shipped_words(items: list[Line], channel: str, locale: str) -> None:
    said = SHIPPED.render(a_case(locale), channel, items)

    assert said.body.strip()
    assert "\n" not in f"{said.title}{said.subject}"


TEXTS = st.text(max_size=9)
ITEMS = st.fixed_dictionaries(
    {"product_id": TEXTS, "name": TEXTS, "price": TEXTS, "quantity": st.integers(0, 9)}
)


@given(st.lists(ITEMS, max_size=4), st.integers(0, 9), TEXTS, TEXTS)
def test_the_words_are_those_that_the_library_makes_by_itself(
    items: list[dict[str, Any]], more: int, shop: str, link: str
) -> None:
    """Ours are quicker and do not know the clock; they are no other."""
    first = items[0] if items else None
    names = {"items": items, "first_item": first, "more": more, "shop": shop, "locale": "en"}
    names |= {"deep_link": link, "unsubscribe_url": link}
    tricks = "{% cycle 'a', 'b' %}{% increment n %}{% capture c %}{{ shop }}{% endcapture %}{{ c }}"
    words = [*SHIPPED.words.values(), parse("cart/en/push.liquid", HEAD + tricks)]
    for template in [part for each in words for part in each.parts.values()]:
        if not isinstance(template, str):
            assert render(template, names) == template.render(**names)


SHIPPED = build(templates.artefact())
