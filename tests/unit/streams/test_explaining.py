"""A campaign in plain English: complete, in the order of judging, with the file's own numbers."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from engine.decisions import Weighed, weigh
from engine.errors import Refused
from engine.policy import Policy
from engine.ports import Case
from rules import campaigns
from rules.guards import GUARDS
from rules.triggers import TRIGGERS
from streams.cli import main
from streams.explaining import IN_ORDER, SENTENCES, Explanation, explained, spoken, status
from tests.support.builders import a_cart, a_profile, a_trigger
from tests.support.world import in_force

TEXT = campaigns.shipped().decode()


def policy(**texts: str) -> Policy:
    text = TEXT
    for key, value in texts.items():
        text, changed = re.subn(
            rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE
        )
        assert changed, key
    return campaigns.load(text.encode(), "campaigns.toml")


def cart(**texts: str) -> Explanation:
    return explained(policy(**texts), "cart", "campaigns.toml")


def said(found: Explanation) -> str:
    return " ".join(sentence for part in found.parts.values() for sentence in part)


def test_every_guard_has_its_sentence_and_they_stand_in_the_order_of_judging() -> None:
    shipped = policy()
    expected = [
        SENTENCES[type(guard)](shipped, shipped.campaigns["cart"])  # a new guard needs one
        for guard in GUARDS
    ]

    assert cart().parts[IN_ORDER] == expected
    assert len(set(expected)) == len(GUARDS)


def test_every_trigger_there_is_can_be_explained() -> None:
    shipped = policy()

    kinds = {campaign.trigger for campaign in shipped.campaigns.values()}
    assert kinds == set(TRIGGERS)
    for name in shipped.campaigns:
        assert all(explained(shipped, name, "campaigns.toml").parts.values())
    assert "30 calendar days" in said(explained(shipped, "post-purchase-30d", "campaigns.toml"))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("delay", '"50m"', "due 50 minutes after her last change"),
        ("hard_limit", '"7h"', "never beyond 7 hours after the first"),
        ("settle", '"90s"', "sooner than 90 seconds after"),
        ("cooldown", '"5d"', "leaves her alone for 5 days"),
        ("cooldown", '"0s"', "Cooldown: it has none"),
        ("stale_after", '"9h"', "more than 9 hours after it was due"),
        ("window", '"36h"', "at most 1 message in 36 hours"),
        ("from", '"22:30"', "between 22:30 and 08:00"),
        ("from", '"08:00"', "there are no quiet hours"),
        ("timezone", '"Europe/Berlin"', "Europe/Berlin if nobody told us"),
        ("when_quiet", '"drop"', "At night it is dropped"),
        ("when_capped", '"hold"', "waits until the cap has room"),
        ("arbitration_window", '"5m"', "within 5 minutes compete"),
        ("deliver_within", '"3h"', "push 3 hours, e-mail 12 hours"),
        ("cost", "0.07", "push costs 0.07 and 0.05 of her patience"),
        ("patience", "0.11", "push costs 0 and 0.11 of her patience"),
        ("basket", "250.0", "else 250 CNY"),
        ("currency", '"EUR"', "In EUR, per message"),
        ("conversion_window", '"48h"', "within 2 days counts"),
        ("prior_order_rate", "0.07", "7 of 100 people order without any message"),
        ("push", "1.25", "1.25 (push), 1.1 (e-mail)"),
        ("share", "0.08", "Holdout: 8 of 100 people"),
        ("share", "0.0", "Holdout: there is none"),
        ("epoch", '"2027Q1"', "drawn once for 2027Q1"),
        ("testers", '["u-1", "u-2"]', "2 testers have no holdout"),
    ],
)
def test_the_numbers_are_the_files(key: str, value: str, words: str) -> None:
    assert words in said(cart(**{key: value}))
    assert words not in said(cart())


def test_only_the_campaigns_own_channels_and_their_caps_are_told() -> None:
    shipped = policy()
    cart = msgspec.structs.replace(shipped.campaigns["cart"], channels=("push",))
    narrow = msgspec.structs.replace(shipped, campaigns={"cart": cart})

    found = said(explained(narrow, "cart", "campaigns.toml"))

    assert "marketing by push; no word" in found
    assert "SMS" not in found
    assert "sms-7d" not in found


def test_dates_are_days_of_the_shops_zone_both_inclusive() -> None:
    text = TEXT.replace("# from = 2026-11-01 ", "from = 2026-11-01 ")
    text = text.replace("# until = 2026-11-11", "until = 2026-11-11")
    found = explained(campaigns.load(text.encode(), "x"), "cart", "x")

    assert "from 2026-11-01 until the end of 2026-11-11 only" in said(found)


def weighed(shipped: Policy, *, messages_just_now: int) -> Weighed:
    """What the engine makes of somebody average with a basket as the file assumes it."""
    profile = a_profile(a_cart("p-1", price=shipped.basket))
    now = a_trigger().due_at
    profile.fatigue, profile.fatigue_at = float(messages_just_now), now
    case = Case(
        user_id="u-1",
        profile=profile,
        trigger=a_trigger(),
        campaign=shipped.campaigns["cart"],
        policy=shipped,
        now=now,
        dry_run=True,
    )
    return weigh(case, in_force(shipped))


def test_the_example_is_what_the_engine_computes() -> None:
    shipped = policy()
    fresh, tired = (weighed(shipped, messages_just_now=count) for count in (0, 1))

    example = cart().example
    assert {one.channel: one.worth for one in example} == fresh.worth
    assert {one.channel: one.tired for one in example} == tired.worth
    assert {one.channel: one.uplift for one in example} == fresh.uplift
    assert fresh.best == "email"
    assert "She would hear by e-mail" in said(cart())
    # by hand: 0.1 x 1.1 / (0.9 + 0.1 x 1.1) - 0.1 = 0.008911; x 0.3 x 180 = 0.4812
    assert "0.0089 \N{MULTIPLICATION SIGN} 54 \N{MINUS SIGN} 0.05 = 0.43 CNY" in said(cart())


def test_where_nothing_pays_it_says_silence() -> None:
    assert "she would hear nothing" in said(cart(basket="1.0"))


@pytest.mark.parametrize(
    ("mode", "state", "words"),
    [
        ("dry_run", "live", "sends nothing"),
        ("live", "dry_run", 'status = "dry_run"'),
        ("live", "paused", "paused"),
        ("live", "live", "It is live."),
    ],
)
def test_it_begins_with_whether_it_speaks_at_all(mode: str, state: str, words: str) -> None:
    found = policy(mode=f'"{mode}"', status=f'"{state}"')

    assert words in status(found, found.campaigns["cart"])


def test_an_unknown_id_is_one_sentence_with_the_known_ones() -> None:
    with pytest.raises(Refused, match=r"no campaign 'card' in mine\.toml: it has cart, post-"):
        explained(policy(), "card", "mine.toml")


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (86_400_000, "24 hours"),
        (172_800_000, "2 days"),
        (60_000, "1 minute"),
        (1_500, "1.5 seconds"),
    ],
)
def test_durations_are_spoken_in_the_unit_that_holds_them(ms: int, words: str) -> None:
    assert spoken(ms) == words


def rekindle(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments), prog_name="rekindle")
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_says_whose_file_it_explains_in_80_columns(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(TEXT.replace('delay = "1h"', 'delay = "50m"'))

    shipped = rekindle("campaigns", "explain", "cart")
    own = rekindle("campaigns", "explain", "cart", str(mine))

    assert "as written in the shipped campaigns file" in " ".join(shipped.split())
    assert "mine.toml" in own
    assert "50 minutes" in own
    assert max(map(len, shipped.splitlines())) <= 80
    assert " 1. Its dates" in shipped
    assert "11. Night" in shipped


def test_the_command_speaks_json() -> None:
    found = json.loads(rekindle("campaigns", "explain", "cart", "--json"))

    assert found["campaign"] == "cart"
    assert found["example"][0]["channel"] == "push"
    assert found["example"][0]["worth"] == pytest.approx(0.431194)
