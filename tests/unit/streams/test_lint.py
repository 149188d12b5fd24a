"""What the linter of templates finds before a shopper does."""

import msgspec
import pytest

from rules import campaigns, templates
from streams.delivery.lint import lint, notes
from streams.delivery.sms import parts

EMAIL = "subject: s\ndeep_link: https://shop.example\n---\n{{ unsubscribe_url }} unsubscribe\n---\n"


def problems(name: str, text: str) -> list[str]:
    return lint(msgspec.json.encode({"v": 1, "files": {name: text}}))


def test_the_shipped_templates_are_good_for_the_shipped_campaigns() -> None:
    policy = campaigns.load(campaigns.shipped(), "campaigns.toml")

    assert lint(templates.artefact(), policy) == []


def test_every_shipped_sms_tells_its_parts() -> None:
    assert all("part(s)" in note for note in notes(templates.artefact()))
    assert notes(templates.artefact())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("cart/en/push.liquid", "---\nx", "a push needs a title"),
        ("cart/en/email.liquid", "---\nunsubscribe", "an e-mail needs a subject"),
        ("cart/en/email.liquid", "subject: s\n---\nx", "must say how to unsubscribe"),
        ("cart/en/email.liquid", f"{EMAIL}<p>bye</p>", "HTML part must say how to unsubscribe"),
        ("cart/en/sms.liquid", "---\nbuy", "must say how to stop it"),
        ("cart/zh-CN/sms.liquid", "---\nbuy, or STOP", "must say how to stop it"),
        ("cart/en/sms.liquid", f"---\nSTOP {'x' * 600}", "4 parts"),
        ("cart/en/push.liquid", "title: t\n---\nhttp://a.example", "https only"),
        ("cart/en/push.liquid", "title: t\ndeep_link: shop://x\n---\nx", "no https link"),
        ("cart/en/push.liquid", "title: t\n---\n", "body is empty"),
        ("cart/en/push.liquid", "title: t\n---\n{{ itmes.size }}", "'itmes' is not known"),
        ("cart/en/push.liquid", "title: t\n---\n{% if more > 99 %}{{ foo }}{% endif %}x", "'foo'"),
        ("cart/en/push.liquid", "title: t\n---\n{{ first_item.name }}", "no product"),
        ("cart/en/push.liquid", "title: t\n---\n{% for %}", "push.liquid"),
        ("cart/en/push.liquid", "no rule", 'no line "---"'),
        ("cart/en/push.liquid", "titel: t\n---\nx", "1: 'titel: t' is no head line"),
        ("cart/push.liquid", "title: t\n---\nx", "no template file"),
    ],
)
def test_a_mistake_is_told_with_its_file(name: str, text: str, said: str) -> None:
    found = problems(name, text)

    assert any(said in problem for problem in found), found
    assert all(name in problem for problem in found)


def test_a_campaign_without_words_is_told() -> None:
    policy = campaigns.load(campaigns.shipped(), "campaigns.toml")
    only = msgspec.json.encode({"v": 1, "files": {"cart/en/push.liquid": "title: t\n---\nx"}})

    found = lint(only, policy)

    assert any("Campaign cart speaks by sms" in problem for problem in found)
    assert any("post-purchase-7d" in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("€" * 153, 3),
        ("中" * 70, 1),
        ("中" * 71, 2),
        ("中" * 134, 2),
        ("中" * 135, 3),
        ("\U0001f600" * 35, 1),
        ("\U0001f600" * 36, 2),
        ("\U0001f600" * 67, 3),
        ("ç" * 161, 3),
        ("Ç" * 161, 2),
    ],
)
def test_sms_parts_are_counted_as_carriers_count_them(text: str, count: int) -> None:
    assert parts(text) == count
