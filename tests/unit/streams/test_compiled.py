"""What compiled templates write is what Liquid writes, and Liquid keeps what is not plain."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquid import BoundTemplate

from rules import templates
from streams.delivery import renderer
from streams.delivery.compiled import compiled

_TEXT = renderer._text
_HTML = renderer._html
SHIPPED = {
    name: renderer.parse(name, text)
    for name, text in templates.read(templates.artefact()).files.items()
}

texts = st.text(st.sampled_from("ab <&\"'é鞋\n"), max_size=8)
products = st.fixed_dictionaries(
    {"product_id": texts, "name": texts, "price": texts, "quantity": st.integers(0, 3)}
)


@st.composite
def contexts(draw: st.DrawFn) -> dict[str, Any]:
    items = draw(st.lists(products, max_size=4))
    context: dict[str, Any] = {
        "items": items,
        "first_item": items[0] if items else None,
        "more": max(0, len(items) - 1),
        "shop": draw(texts),
        "locale": "en",
    }
    if draw(st.booleans()):
        context["deep_link"] = "https://shop.example/?a=1&b=2"
    return context


VALUES = st.sampled_from([
    "shop", "more", "first_item.name", "first_item", "deep_link", "items", "x", "item.name",
    "item.quantity", '"<b>"', "0", "2", "true", "item", "items.size", "forloop.index",
])  # fmt: skip
FILTERS = st.sampled_from([
    "", "", " | plus: 1", " | truncate: 3", " | escape", " | url_encode", " | upcase", " | size",
    " | append: shop", ' | split: "a"', ' | default: "none"',
])  # fmt: skip
TESTS = st.builds(
    lambda left, test, right: f"{left} {test} {right}" if test else left,
    VALUES,
    st.sampled_from(["==", "!=", "<", ">", ">=", "contains", "and", ""]),
    VALUES,
)
PIECES = st.one_of(
    st.sampled_from(["text", " ", "<p>", "\n"]),
    st.builds(lambda value, by: f"{{{{ {value}{by} }}}}", VALUES, FILTERS),
    st.builds(
        lambda name, value, by: f"{{% assign {name} = {value}{by} %}}",
        st.sampled_from(["x", "item", "shop"]),
        VALUES,
        FILTERS,
    ),
)


def _wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def condition(test: str, one: str, other: str) -> str:
        return f"{{% if {test} %}}{one}{{% elsif more > 1 %}}-{{% else %}}{other}{{% endif %}}"

    def loop(name: str, over: str, body: str) -> str:
        return f"{{% for {name} in {over} %}}{body}{{% else %}}none{{% endfor %}}"

    names, over = st.sampled_from(["item", "x", "shop"]), st.sampled_from(["items", "x", "shop"])
    return st.one_of(
        st.builds(condition, TESTS, inner, inner),
        st.builds(loop, names, over, inner),
        st.lists(inner, min_size=2, max_size=4).map("".join),
    )


SOURCES = st.recursive(PIECES, _wrapped, max_leaves=8)


def _liquid(template: BoundTemplate, context: dict[str, Any]) -> str | None:
    """Return what Liquid writes; None where it raises."""
    try:
        return template.render(**context)
    except Exception:  # noqa: BLE001 - whatever it is, the renderer must meet it too
        return None


@settings(max_examples=100)
@given(source=SOURCES, html=st.booleans(), context=contexts())
def test_what_is_compiled_writes_what_liquid_writes_or_leaves_it_to_liquid(
    source: str, html: bool, context: dict[str, Any]
) -> None:
    template = (_HTML if html else _TEXT).from_string(source)
    fill = compiled(template)
    text = fill(context) if fill is not None else None
    assert text is None or text == _liquid(template, context), source


def test_every_shipped_template_is_compiled_wholly() -> None:
    for name, words in SHIPPED.items():
        assert words.parts.keys() == words.fast.keys(), name


@settings(max_examples=20)
@given(context=contexts())
def test_shipped_templates_never_fall_back_to_liquid(context: dict[str, Any]) -> None:
    context |= {"deep_link": "https://shop.example/x", "unsubscribe_url": "https://shop.example/u"}
    for name, words in SHIPPED.items():
        for part, fill in words.fast.items():
            assert fill(context) == words.parts[part].render(**context), (name, part)


@pytest.mark.parametrize(
    ("source", "context"),
    [
        ("{{ nobody }}", {}),
        ("{% for x in items %}{{ x }}{% endfor %}", {"items": list(range(1_001))}),
        ("{% for x in items %}{{ shop }}{% endfor %}", {"items": [1] * 900, "shop": "é" * 20}),
        ("{% assign x = shop %}{% assign y = shop %}", {"shop": "a" * 6_000}),
        ("{{ shop }}", {"shop": "é" * 10_001}),
    ],
)
def test_what_would_break_a_limit_is_left_to_liquid(source: str, context: dict[str, Any]) -> None:
    template = _TEXT.from_string(source)
    fill = compiled(template)
    assert fill is not None
    assert fill(context) is None
    assert _liquid(template, context) is None


@pytest.mark.parametrize(
    "source",
    [
        "{% for x in items %}{{ forloop.index }}{% endfor %}",
        "{% for x in items limit: 1 %}{{ x }}{% endfor %}",
        "{% for x in items %}{% for y in items %}{{ y }}{% endfor %}{% endfor %}",
        "{% for x in items %}{% assign x = 1 %}{% endfor %}",
        "{% case shop %}{% when 'a' %}b{% endcase %}",
        "{{ items | first | map: 'name' | sort: shop, extra: 1 }}",
    ],
)
def test_what_is_not_plain_is_not_compiled(source: str) -> None:
    assert compiled(_TEXT.from_string(source)) is None


def test_zero_counts_as_true_and_equal_numbers_are_equal() -> None:
    fill = compiled(_TEXT.from_string("{% if n %}a{% endif %}{% if n == 0 %}b{% endif %}"))
    assert fill is not None
    assert fill({"n": 0}) == "ab"
    assert fill({"n": False}) is None  # Liquid has rules of its own for booleans
