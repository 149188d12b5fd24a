"""One suite for every renderer: the plain reference and the Liquid one that ships."""

from collections.abc import Sequence

import msgspec
import pytest

from engine.actions import Content
from engine.events import Line
from engine.memory import PlainRenderer
from engine.policy import Campaign, Policy
from engine.ports import Case, Renderer
from engine.profile import Profile, Trigger
from rules import templates
from streams.delivery.renderer import build

ITEMS = [Line("p-1", 1, 129.0, "Runner 8", "CNY"), Line("p-2", 2, None, "Socks")]


def a_case(template: str = "cart", locale: str = "zh-CN", user: str = "u-1") -> Case:
    campaign = Campaign(
        id="cart",
        version=3,
        trigger="cart_abandonment",
        channels=("push", "sms", "email"),
        template=template,
        margin=0.3,
        conversion_window=86_400_000,
        prior_order_rate=0.1,
        lift={},
    )
    policy = Policy(
        app="shop",
        mode="live",
        currency="CNY",
        timezone="UTC",
        basket=180.0,
        channels={},
        campaigns={"cart": campaign},
    )
    trigger = Trigger("cart", "cart_abandonment", "c-7", "e-1", 1, 1, 1, 2, 2)
    return Case(user, Profile(locale=locale), trigger, campaign, policy, 3, dry_run=False)


@pytest.fixture(params=["plain", "liquid"])
def renderer(request: pytest.FixtureRequest) -> Renderer:
    if request.param == "plain":
        return PlainRenderer()
    return build(templates.artefact())


class TestEveryRenderer:
    @pytest.mark.parametrize("channel", ["push", "sms", "email"])
    @pytest.mark.parametrize("items", [ITEMS, ITEMS[:1], []], ids=["two", "one", "none"])
    def test_there_is_always_something_to_read(
        self, renderer: Renderer, channel: str, items: Sequence[Line]
    ) -> None:
        content = renderer.render(a_case(), channel, items)

        assert content.body.strip()
        assert content.template

    def test_equal_questions_give_equal_words(self, renderer: Renderer) -> None:
        first = renderer.render(a_case(), "push", ITEMS)

        assert renderer.render(a_case(), "push", ITEMS) == first

    def test_the_items_are_named_in_order(self, renderer: Renderer) -> None:
        content = renderer.render(a_case(), "push", ITEMS)

        assert [(item.product_id, item.name) for item in content.items] == [
            ("p-1", "Runner 8"),
            ("p-2", "Socks"),
        ]
        assert [bool(item.price) for item in content.items] == [True, False]

    def test_nothing_of_the_case_is_changed(self, renderer: Renderer) -> None:
        case = a_case()
        before = msgspec.msgpack.encode(case.profile), msgspec.msgpack.encode(case.trigger)

        renderer.render(case, "push", ITEMS)

        assert (
            msgspec.msgpack.encode(case.profile),
            msgspec.msgpack.encode(case.trigger),
        ) == before

    def test_the_content_travels_as_json(self, renderer: Renderer) -> None:
        content = renderer.render(a_case(), "email", ITEMS)

        assert msgspec.json.decode(msgspec.json.encode(content), type=Content) == content
