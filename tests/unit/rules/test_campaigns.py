"""The campaigns file: what it means, and how it is refused like a helpful colleague would."""

import re

import pytest

from engine.errors import Refused
from engine.policy import Cap, Policy, QuietHours
from engine.times import DAY, HOUR, MINUTE, SECOND, from_iso
from rules.campaigns import LATER, load, shipped
from rules.templates import artefact, names

SMALL = """\
version = 1
app = "shop"
currency = "EUR"
timezone = "Europe/Berlin"
basket = 60

[channel.push]
cost = 0
patience = 0.05
deliver_within = "2h"

[[cap]]
name = "daily"
kind = "calendar_day"
limit = 2

[[campaign]]
id = "cart"
version = 3
trigger = "cart_abandonment"
delay = "90m"
hard_limit = "6h"
channels = ["push"]
template = "cart"
margin = 0.25
conversion_window = "24h"
cooldown = "0s"
stale_after = "10h"
prior_order_rate = 0.1

[campaign.lift]
push = 1.2
"""


def loaded(text: str = SMALL) -> Policy:
    return load(text.encode(), "my.toml")


def complaints(text: str) -> list[str]:
    """What the file is refused with, line by line."""
    with pytest.raises(Refused) as refused:
        loaded(text)
    return str(refused.value).split("\n")


def changed(old: str, new: str) -> str:
    assert SMALL.count(old) == 1, old
    return SMALL.replace(old, new)


# --- what ships ---------------------------------------------------------------------------------


def test_the_shipped_file_loads_and_sends_nothing() -> None:
    policy = load(shipped(), "campaigns.toml", names(artefact()))
    assert policy.mode == "dry_run"
    assert list(policy.campaigns) == ["cart", "post-purchase-7d", "post-purchase-30d"]
    assert policy.testers == frozenset()
    assert not policy.allow_simulated_model
    assert policy.settle == 2 * MINUTE


def test_the_shipped_figures_are_those_of_the_contract() -> None:
    policy = load(shipped(), "campaigns.toml")
    cart = policy.campaigns["cart"]
    assert (cart.delay, cart.hard_limit, cart.cooldown) == (HOUR, 4 * HOUR, 72 * HOUR)
    assert (cart.stale_after, cart.when_quiet, cart.when_capped) == (14 * HOUR, "hold", "drop")
    assert cart.lift == {"push": 1.10, "email": 1.10, "sms": 1.10}
    assert policy.caps == (
        Cap(name="any-24h", kind="rolling", window=DAY, limit=1),
        Cap(name="any-7d", kind="rolling", window=7 * DAY, limit=3),
        Cap(name="sms-7d", kind="rolling", window=7 * DAY, limit=1, channel="sms"),
    )
    assert policy.quiet_hours == QuietHours(21 * 60, 8 * 60)
    assert (policy.holdout.share, policy.holdout.epoch) == (0.05, "2026Q4")
    assert (policy.exploration.share, policy.exploration.channels) == (0.10, ("push", "email"))
    weeks = {name: campaign.conversion_window for name, campaign in policy.campaigns.items()}
    assert weeks["post-purchase-7d"] == 7 * DAY
    assert weeks["post-purchase-30d"] == 14 * DAY
    assert policy.campaigns["post-purchase-7d"].when_capped == "hold"


def test_assumed_figures_say_that_they_are_assumed() -> None:
    text = shipped().decode()
    for line in text.split("# --- your first minute")[0].split("\n"):
        if re.match(r"prior_order_rate|\[campaign\.lift\]", line):
            assert "ASSUMED" in line


def test_the_commented_first_minute_is_a_campaign_that_loads() -> None:
    """Given the lines below the last heading without their "# ", then it decides within seconds."""
    text = shipped().decode()
    head, _, tail = text.partition("# [[campaign]]\n")
    opened = head + "[[campaign]]\n" + re.sub(r"^# ?", "", tail, flags=re.MULTILINE)
    opened = opened.replace("testers = []", 'testers = ["u-1"]')
    opened = opened.replace('settle = "2m"', 'settle = "1s"')
    policy = load(opened.encode(), "campaigns.toml", names(artefact()))
    first = policy.campaigns["first-minute"]
    assert first.delay == 10 * SECOND
    assert policy.settle == SECOND
    assert policy.mode == "dry_run"


# --- what it means ------------------------------------------------------------------------------


def test_a_small_file_takes_careful_defaults() -> None:
    policy = loaded()
    assert policy.mode == "dry_run"
    assert (policy.holdout.share, policy.exploration.share) == (0.0, 0.0)
    assert policy.quiet_hours == QuietHours()
    assert policy.caps == (Cap(name="daily", kind="calendar_day", limit=2),)
    campaign = policy.campaigns["cart"]
    assert (campaign.status, campaign.when_quiet, campaign.when_capped) == ("live", "hold", "drop")
    assert (campaign.delay, campaign.hard_limit) == (90 * MINUTE, 6 * HOUR)


def test_dates_are_days_of_the_files_zone_and_until_includes_its_day() -> None:
    text = changed("version = 3\n", "version = 3\nfrom = 2026-10-24\nuntil = 2026-10-25\n")
    campaign = loaded(text).campaigns["cart"]
    assert campaign.starts == from_iso("2026-10-24T00:00+02:00")
    assert campaign.ends == from_iso("2026-10-26T00:00+01:00")  # the night the clocks went back


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("2026-11-11T09:00:00", from_iso("2026-11-11T09:00+01:00")),
        ("2026-11-11T09:00:00Z", from_iso("2026-11-11T09:00Z")),
        ('"2026-11-11"', from_iso("2026-11-11T00:00+01:00")),
    ],
)
def test_dates_may_be_written_in_the_ways_of_toml(written: str, ms: int) -> None:
    text = changed("version = 3\n", f"version = 3\nfrom = {written}\n")
    assert loaded(text).campaigns["cart"].starts == ms


def test_a_file_from_windows_is_read_like_any_other() -> None:
    windows = b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode()
    assert load(windows, "my.toml") == loaded()


def test_marketing_is_the_purpose_there_is() -> None:
    assert loaded(changed("version = 3", 'version = 3\npurpose = "marketing"')) == loaded()


# --- how it is refused --------------------------------------------------------------------------

MENDING = [
    ('app = "shop"', 'app = "a|b"', 'my.toml:2: `app = "a|b"` is not a name; write what'),
    ('"EUR"', '"euro"', 'my.toml:3: `currency = "euro"` is not a currency; write three capital'),
    (
        '"Europe/Berlin"',
        '"Berlin"',
        'my.toml:4: `timezone = "Berlin"` is no time zone we know; write an IANA name such as',
    ),
    ("basket = 60", "basket = 0", "my.toml:5: `basket = 0` is not an order value; write a number"),
    ("basket = 60", "basket = nan", "my.toml:5: `basket = nan` is not an order value"),
    ("basket = 60", "basket = true", "my.toml:5: `basket = true` is not an order value"),
    ("cost = 0", "cost = -1", "my.toml:8: `cost = -1` is not a price"),
    ("patience = 0.05", "patience = 0", "my.toml:9: `patience = 0` is not a price above 0"),
    ("limit = 2", "limit = 61", "my.toml:15: `limit = 61` is not a whole number from 1 to 60"),
    ("limit = 2", "limit = 0", "my.toml:15: `limit = 0` is not a whole number from 1 to 60"),
    ("limit = 2", 'limit = 2\nwindow = "2d"', "my.toml:16: a calendar_day is the user's own day"),
    (
        '"calendar_day"\nlimit = 2',
        '"gap"\nlimit = 2\nwindow = "2h"',
        "my.toml:15: `limit = 2` has no meaning in a gap",
    ),
    ('"calendar_day"', '"rolling"', "my.toml:12: `window` is missing; add a duration: a whole"),
    (
        '"calendar_day"',
        '"rolling"\nwindow = "0s"',
        'my.toml:15: `window = "0s"` is no time at all; write one longer',
    ),
    ('"calendar_day"', '"roling"', 'my.toml:14: `kind = "roling"` is unknown; did you mean'),
    ('id = "cart"', 'id = "My Cart"', 'my.toml:18: `id = "My Cart"` is not an id; write small'),
    ("version = 3", "version = 0", "my.toml:19: `version = 0` is not a version"),
    (
        '"cart_abandonment"',
        '"cart_abandoned"',
        'my.toml:20: `trigger = "cart_abandoned"` is unknown; did you mean `cart_abandonment`?',
    ),
    ('"90m"', "90", "my.toml:21: `delay = 90` is not a duration; write a whole number and s, m,"),
    ('"90m"', '"1.5h"', 'my.toml:21: `delay = "1.5h"` is not a duration'),
    ('"90m"', '"9999d"', 'my.toml:21: `delay = "9999d"` is longer than ten years'),
    ('"6h"', '"1h"', "my.toml:22: `hard_limit` is shorter than `delay`"),
    (
        '["push"]',
        '["push", "pusch"]',
        'my.toml:23: `channels` names the channel "pusch", which has no section; did you mean',
    ),
    ('["push"]', "[]", "my.toml:23: `channels = []` is not a list of channels; write at least"),
    ('["push"]', '["push", "push"]', 'my.toml:23: `channels` names "push" twice; name it once.'),
    ("margin = 0.25", "margin = 25", "my.toml:25: `margin = 25` is not a share; write a number"),
    (
        "prior_order_rate = 0.1",
        "prior_order_rate = 1",
        "my.toml:29: `prior_order_rate = 1` is not a rate; write a number between 0 and 1",
    ),
    (
        'stale_after = "10h"',
        'stale_after = "10h"\nwhen_quiet = "wait"',
        'my.toml:29: `when_quiet = "wait"` is unknown; write "hold" or "drop".',
    ),
    ("push = 1.2", "", "my.toml:31: `push` is missing; add an odds ratio"),
    ("push = 1.2", "push = 1.2\nsms = 1.1", "my.toml:33: `sms` is not a key of [campaign.lift]"),
    ("push = 1.2", "push = 0", "my.toml:32: `push = 0` is not an odds ratio"),
    ('cooldown = "0s"', 'cooldwn = "0s"', "my.toml:27: `cooldwn` is not a key of [campaign]; did"),
    (
        "version = 3",
        "version = 3\nfrom = 2026-11-11\nuntil = 2026-11-10",
        "my.toml:21: `until` lies before `from`",
    ),
    ("version = 3", 'version = 3\nfrom = "soon"', 'my.toml:20: `from = "soon"` is not a date'),
    ("version = 1", "version = 2", "my.toml:1: the file has version 2, this program reads version"),
]


@pytest.mark.parametrize(("old", "new", "said"), MENDING)
def test_a_mistake_is_named_with_its_line_and_its_mending(old: str, new: str, said: str) -> None:
    found = complaints(changed(old, new))
    assert any(line.startswith(said) for line in found), found
    for line in found:
        assert re.fullmatch(r"my\.toml:\d+: .+; .+[.?]", line), line


def test_quiet_hours_are_written_as_a_clock_shows_them() -> None:
    for wrong in ('"9pm"', '"24:00"', "21", '"21:60"'):
        (line,) = complaints(SMALL + f"\n[quiet_hours]\nfrom = {wrong}\nto = 08:00:00\n")
        assert line.startswith(f"my.toml:35: `from = {wrong}` is not a time of day; write hours")


def test_every_problem_is_told_at_once_in_order_of_lines() -> None:
    text = SMALL.replace('"EUR"', '"€"').replace("patience = 0.05", "patience = 0")
    text = text.replace('"90m"', '"90"').replace("margin = 0.25", "")
    found = complaints(text)
    lines = [int(line.split(":")[1]) for line in found]
    assert lines == sorted(lines)
    assert [line.split("`")[1].split(" ")[0] for line in found] == [
        "currency",
        "patience",
        "margin",
        "delay",
    ]


@pytest.mark.parametrize("key", sorted(LATER))
def test_keys_of_later_releases_are_refused_with_one_sentence_that_says_so(key: str) -> None:
    (line,) = complaints(changed("version = 3\n", f"version = 3\n{key} = 1\n"))
    assert line.startswith(f"my.toml:20: `{key}` (")
    assert line.endswith("comes with a later release of rekindle; take it out until then.")


def test_service_messages_are_refused_with_the_reason() -> None:
    (line,) = complaints(changed("version = 3", 'version = 3\npurpose = "service"'))
    assert "comes with a later release" in line
    assert "consent" in line


def test_a_delay_after_a_purchase_has_no_meaning() -> None:
    found = complaints(changed('"cart_abandonment"', '"post_purchase_7d"'))
    why = "has no meaning for post_purchase_7d, whose days are in its name; take it out."
    assert found == [f"my.toml:21: `delay` {why}", f"my.toml:22: `hard_limit` {why}"]


def test_names_are_used_once() -> None:
    cap = SMALL[SMALL.index("[[cap]]") : SMALL.index("[[campaign]]")]
    campaign = SMALL[SMALL.index("[[campaign]]") :]
    found = complaints(SMALL + "\n" + cap + campaign)
    assert [line.split(": ", 1)[1] for line in found] == [
        'there are two caps "daily"; give each a name of its own.',
        'there are two campaigns "cart"; give each its own id.',
    ]


def test_a_template_must_be_there_when_the_templates_are_known() -> None:
    with pytest.raises(Refused, match=r"my\.toml:24: there is no template \"cart\"; there are"):
        load(SMALL.encode(), "my.toml", {"basket", "hello"})
    with pytest.raises(Refused, match="did you mean `carts`"):
        load(SMALL.encode(), "my.toml", {"carts"})
    assert load(SMALL.encode(), "my.toml", {"cart"}) == loaded()


def test_an_empty_file_is_told_what_it_needs() -> None:
    found = complaints("")
    missing = {line.split("`")[1] for line in found if "`" in line}
    assert {"version", "app", "currency", "timezone", "basket"} <= missing
    assert any("there is no channel" in line for line in found)
    assert any("there is no campaign" in line for line in found)


def test_a_section_of_the_wrong_shape_is_named() -> None:
    shapes = {
        "holdout = 0.05\n": "my.toml:1: `holdout` must be a section; write it as [holdout].",
        "cap = 3\n": "my.toml:1: `cap` must be a list of sections; begin each with [[cap]].",
    }
    for line, said in shapes.items():
        body = SMALL.replace(SMALL[SMALL.index("[[cap]]") : SMALL.index("[[campaign]]")], "")
        assert complaints(line + body) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.replace('"EUR"', "EUR"), "my.toml:3: this is not TOML ("),
        (SMALL.replace("basket = 60", "basket ="), "my.toml:5: this is not TOML ("),
        (SMALL + 'x = "open', "my.toml:33: this is not TOML ("),
        (SMALL.replace("cost = 0", "cost = 0\ncost = 1"), "my.toml:9: this is not TOML (the same"),
        (SMALL + "\n[channel.push]\n", "my.toml:34: this is not TOML (the same section stands"),
    ],
)
def test_broken_toml_is_told_with_its_line(text: str, said: str) -> None:
    (line,) = complaints(text)
    assert line.startswith(said)


def test_a_file_that_is_no_text_is_told_with_its_line() -> None:
    with pytest.raises(Refused, match=r"my\.toml:2: a character is not UTF-8; save"):
        load(b'version = 1\napp = "\xff"\n', "my.toml")


def test_an_equal_file_is_an_equal_policy() -> None:
    """What is in force is a value: two workers that read the same bytes hold the same."""
    assert load(shipped(), "a") == load(shipped(), "b")
