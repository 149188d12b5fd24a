"""Reads a campaigns file into a policy, or refuses it: every problem, its line, how to mend it."""

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

from engine.errors import Refused
from engine.policy import (
    Campaign,
    Cap,
    Channel,
    Exploration,
    Holdout,
    Mode,
    Policy,
    QuietHours,
    WhenBlocked,
)
from engine.times import DAY, HOUR, MINUTE
from rules.lines import locate
from rules.linter import Complaints, Table, Wish, alternatives, suggestion
from rules.triggers import TRIGGERS, cart_abandonment
from rules.zones import known

VERSION: Final = 1
# The send log is bounded at 64; the rest is room for what other systems send.
MOST_SENDS: Final = 60

_SHIPPED = Path(__file__).with_name("campaigns.toml")

_ID: Final = r"[a-z0-9][a-z0-9-]{0,62}"
_WORD: Final = r"[a-z0-9][a-z0-9_-]{0,62}"
# "|" separates the parts of ids and draws; a line break in the shop's name would split a header.
_PLAIN: Final = r"[^|\x00-\x1f\x7f]{1,64}"

_APP = Wish("a name", 'what shoppers call your shop, without "|", such as "shop"')
_EPOCH = Wish("the name of a period", 'text such as "2026Q4"; a new name draws new groups')
_ID_WISH = Wish("an id", 'small letters, digits and "-", such as "cart"')
_CURRENCY = Wish("a currency", 'three capital letters, such as "CNY"')
_ZONE = Wish("a time zone", 'an IANA name such as "Asia/Shanghai"')
_MONEY = Wish("a price", "a number of at least 0, in the file's currency")
_BASKET = Wish("an order value", "a number above 0, in the file's currency")
_PATIENCE = Wish("a price above 0", "what one interruption costs you, such as 0.05; never 0")
_SHARE = Wish("a share", "a number from 0 to 1, such as 0.05")
_RATE = Wish("a rate", "a number between 0 and 1, such as 0.10")
_LIFT = Wish("an odds ratio", "a number above 0; 1.10 = ten per cent better odds of an order")
_FORM = Wish("the form of this file", f"version = {VERSION}")
_VERSION = Wish("a version", "a whole number from 1, one more after each change of meaning")
_LIMIT = Wish(f"a whole number from 1 to {MOST_SENDS}", "how many sends the window allows")
_NAMES = Wish("a list of texts", 'names in quotes, such as ["u-1"]')
_CHANNELS = Wish("a list of channels", 'at least one of those above, such as ["push", "email"]')
_TEMPLATE = Wish("a template", 'the name of its folder, such as "cart"')


def _not_yet(key: str, what: str) -> str:
    return f"`{key}` ({what}) comes with a later release of rekindle; take it out until then."


# Keys that later releases will read: naming them is no slip of the pen, so no "did you mean".
LATER: Final[Mapping[str, str]] = {
    key: _not_yet(key, what)
    for key, what in {
        "steps": "several messages per campaign",
        "step": "several messages per campaign",
        "segment": "speaking to a part of the users",
        "segments": "speaking to a part of the users",
        "variant": "several texts per message",
        "variants": "several texts per message",
        "ab_test": "comparing texts",
        "budget": "limits of spending",
        "budgets": "limits of spending",
        "goal": "goals other than an order",
        "goals": "goals other than an order",
        "send_time": "choosing the hour of the day",
        "send_at": "choosing the hour of the day",
        "rate_brake": "limits of messages per hour",
        "products": "recommended products",
        "recommend": "recommended products",
    }.items()
}


def shipped() -> bytes:
    """Return the campaigns file that ships with rekindle."""
    return _SHIPPED.read_bytes()


def load(content: bytes, name: str, templates: Collection[str] | None = None) -> Policy:
    """Read a campaigns file; ``name`` is what complaints call it.

    ``templates``: names a campaign's ``template`` may have; None = not judged here. Raises Refused
    with one line per problem, ``name:line: what is wrong; how to mend it``, all of them at once.
    """
    file = opened(content, name, LATER)
    policy = _policy(file, templates)
    file.complaints.refuse()
    return policy


def opened(content: bytes, name: str, later: Mapping[str, str] | None = None) -> Table:
    """Open any TOML file of an operator for reading with complaints; raises Refused if it is none.

    ``later``: keys of later releases, each with the sentence that says so.
    """
    text = _text(content, name)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(_no_toml(text, name, str(error))) from None
    return Table(Complaints(name, locate(text)), (), values, later)


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(f"{name}:{line}: a character is not UTF-8; save the file as UTF-8.") from None


def _no_toml(text: str, name: str, message: str) -> str:
    """Say where the TOML breaks; Python 3.11 and 3.12 tell it only in prose."""
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    what = message[: found.start()] if found else message
    line = int(found[1]) if found and found[1] else text.count("\n") + (not text.endswith("\n"))
    mend = "text needs quotes, lists [ ], and every line is `key = value` or a [section]"
    if what == "Cannot overwrite a value":
        what, mend = "the same key stands twice in one section", "keep one of them"
    elif what.startswith("Cannot declare"):
        what, mend = "the same section stands twice", "keep one, or begin each with [[…]]"
    return f"{name}:{max(line, 1)}: this is not TOML ({what}); {mend}."


# --- the file -----------------------------------------------------------------------------------


def _policy(file: Table, templates: Collection[str] | None) -> Policy:
    _version(file)
    zone = _zone(file)
    channels = _channels(file)
    policy = Policy(
        app=file.text("app", _APP, _PLAIN),
        mode=cast("Mode", file.choice("mode", ("dry_run", "live"), "dry_run")),
        currency=file.text("currency", _CURRENCY, r"[A-Z]{3}"),
        timezone=zone,
        basket=file.number("basket", _BASKET, low=0, above=True),
        testers=frozenset(file.words("testers", _NAMES, ())),
        arbitration_window=file.duration("arbitration_window", default=MINUTE, zero=True),
        settle=file.duration("settle", default=2 * MINUTE, zero=True),
        allow_simulated_model=file.switch("allow_simulated_model", default=False),
        holdout=_holdout(file),
        exploration=_exploration(file, channels),
        quiet_hours=_quiet_hours(file),
        channels=channels,
        caps=_caps(file, channels),
        campaigns=_campaigns(file, channels, zone, templates),
    )
    file.close()
    return policy


def _version(file: Table) -> None:
    found = file.whole("version", _FORM, low=1, high=10**9, default=None)
    if found != VERSION:
        file.say(
            "version",
            f"the file has version {found}, this program reads version {VERSION}; "
            "use the release of rekindle it was written for.",
        )


def _zone(file: Table) -> str:
    name = file.text("timezone", _ZONE, r"\S+")
    if known(name):
        return name
    if name:
        mend = 'an IANA name such as "Asia/Shanghai", or an offset such as "UTC+05:30"'
        file.say("timezone", f'`timezone = "{name}"` is no time zone we know; write {mend}.')
    return "UTC"


def _holdout(file: Table) -> Holdout:
    table = file.table("holdout")
    if table is None:
        return Holdout(share=0.0)
    share = table.number("share", _SHARE, low=0, high=1)
    epoch = table.text("epoch", _EPOCH, _PLAIN)
    table.close()
    return Holdout(share, epoch)


def _exploration(file: Table, channels: Collection[str]) -> Exploration:
    table = file.table("exploration")
    if table is None:
        return Exploration()
    share = table.number("share", _SHARE, low=0, high=1)
    explored = table.words("channels", _CHANNELS, ())
    _declared(table, "channels", explored, channels)
    table.close()
    return Exploration(share, explored)


def _quiet_hours(file: Table) -> QuietHours:
    table = file.table("quiet_hours")
    if table is None:
        return QuietHours()
    hours = QuietHours(table.clock("from"), table.clock("to"))
    table.close()
    return hours


def _channels(file: Table) -> dict[str, Channel]:
    table = file.table("channel")
    channels = {}
    for name, channel in table.each() if table is not None else ():
        if re.fullmatch(_WORD, name) is None:
            channel.say(None, f'"{name}" cannot name a channel; write {_ID_WISH.mend}.')
        channels[name] = Channel(
            name=name,
            cost=channel.number("cost", _MONEY, low=0),
            patience=channel.number("patience", _PATIENCE, low=0, above=True),
            deliver_within=channel.duration("deliver_within", default=None),
        )
        channel.close()
    if not channels:
        file.say("channel", "there is no channel; add a section such as [channel.push].")
    return channels


def _declared(table: Table, key: str, used: Collection[str], channels: Collection[str]) -> None:
    for name in used:
        if name not in channels:
            hint = suggestion(name, channels)
            mend = hint or f"; add a section [channel.{name}] or take it out"
            table.say(key, f'`{key}` names the channel "{name}", which has no section{mend}.')


# --- caps ---------------------------------------------------------------------------------------


def _caps(file: Table, channels: Collection[str]) -> tuple[Cap, ...]:
    caps: list[Cap] = []
    for table in file.tables("cap"):
        cap = _cap(table)
        if cap.channel is not None:
            _declared(table, "channel", [cap.channel], channels)
        if any(cap.name == other.name for other in caps):
            table.say("name", f'there are two caps "{cap.name}"; give each a name of its own.')
        caps.append(cap)
        table.close()
    return tuple(caps)


def _cap(table: Table) -> Cap:
    kind = table.choice("kind", ("rolling", "calendar_day", "gap")) or "rolling"
    gap = kind == "gap"
    limit = table.whole("limit", _LIMIT, low=1, high=MOST_SENDS, default=1 if gap else None)
    if gap and limit != 1:
        table.say(
            "limit",
            f"`limit = {limit}` has no meaning in a gap, which is a pause between two sends; "
            'take it out, or write kind = "rolling".',
        )
    window = table.duration("window", default=DAY if kind == "calendar_day" else None)
    if kind == "calendar_day" and window != DAY:
        table.say(
            "window",
            "a calendar_day is the user's own day and has no other window; "
            'take `window` out, or write kind = "rolling".',
        )
    channel = table.text("channel", _ID_WISH, _WORD, "") or None
    return Cap(
        name=table.text("name", _ID_WISH, _ID),
        kind=cast("Literal['rolling', 'calendar_day', 'gap']", kind),
        window=window,
        limit=limit,
        channel=channel,
    )


# --- campaigns ----------------------------------------------------------------------------------


def _campaigns(
    file: Table, channels: Collection[str], zone: str, templates: Collection[str] | None
) -> dict[str, Campaign]:
    campaigns: dict[str, Campaign] = {}
    for table in file.tables("campaign"):
        campaign = _campaign(table, channels, zone)
        if campaign.id in campaigns:
            table.say("id", f'there are two campaigns "{campaign.id}"; give each its own id.')
        if templates is not None and campaign.template and campaign.template not in templates:
            hint = suggestion(campaign.template, templates)
            mend = hint or f"; there are {alternatives(sorted(templates))}"
            table.say("template", f'there is no template "{campaign.template}"{mend}.')
        campaigns[campaign.id] = campaign
        table.close()
    if not campaigns:
        file.say("campaign", "there is no campaign; add a section that begins with [[campaign]].")
    return campaigns


def _campaign(table: Table, channels: Collection[str], zone: str) -> Campaign:
    identity = table.text("id", _ID_WISH, _ID)
    trigger = table.choice("trigger", tuple(TRIGGERS))
    used = table.words("channels", _CHANNELS, None)
    _declared(table, "channels", used, channels)
    _marketing(table)
    starts = table.day("from", zone, whole_day=False)
    ends = table.day("until", zone, whole_day=True)
    if starts is not None and ends is not None and ends <= starts:
        table.say("until", "`until` lies before `from`; write the first day in `from`.")
    return Campaign(
        id=identity,
        version=table.whole("version", _VERSION, low=1, high=10**9, default=None),
        status=cast(
            "Literal['live', 'dry_run', 'paused']",
            table.choice("status", ("live", "dry_run", "paused"), "live"),
        ),
        trigger=trigger,
        channels=used,
        template=table.text("template", _TEMPLATE, _ID),
        margin=table.number("margin", _SHARE, low=0, high=1, above=True),
        conversion_window=table.duration("conversion_window", default=None),
        prior_order_rate=table.number(
            "prior_order_rate", _RATE, low=0, high=1, above=True, below=True
        ),
        lift=_lift(table, used),
        starts=starts,
        ends=ends,
        cooldown=table.duration("cooldown", default=None, zero=True),
        stale_after=table.duration("stale_after", default=None),
        when_quiet=cast("WhenBlocked", table.choice("when_quiet", ("hold", "drop"), "hold")),
        when_capped=cast("WhenBlocked", table.choice("when_capped", ("hold", "drop"), "drop")),
        **_delays(table, trigger),
    )


def _marketing(table: Table) -> None:
    """Refuse service messages: they would skip consent, caps and quiet hours."""
    if table.choice("purpose", ("marketing", "service"), "marketing") == "service":
        table.say(
            "purpose",
            '`purpose = "service"` (messages that need no consent) comes with a later release of '
            "rekindle; take it out, so that the campaign stays under consent and caps.",
        )


def _delays(table: Table, trigger: str) -> dict[str, Any]:
    """Return the times only a cart has: days of the others are in the trigger's name."""
    if trigger != cart_abandonment.RULE.kind:
        why = f"has no meaning for {trigger}, whose days are in its name" if trigger else ""
        table.refuse(("delay", "hard_limit"), why and f"{why}; take it out.")
        return {}
    delay = table.duration("delay", default=None)
    limit = table.duration("hard_limit", default=max(delay, 4 * HOUR))
    if limit < delay and table.sound("delay", "hard_limit"):
        table.say(
            "hard_limit",
            "`hard_limit` is shorter than `delay`, so that no cart could wait its delay; "
            "write at least the same time.",
        )
    return {"delay": delay, "hard_limit": limit}


def _lift(table: Table, used: Collection[str]) -> dict[str, float]:
    lifts = table.table("lift")
    if lifts is None:
        if "lift" not in table:
            table.say(None, "[campaign.lift] is missing; add it with one number per channel.")
        return {}
    found = {name: lifts.number(name, _LIFT, low=0, high=100, above=True) for name in used}
    lifts.close()
    return found


__all__ = ["LATER", "MOST_SENDS", "load", "opened", "shipped"]
