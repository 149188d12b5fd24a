"""docs/reference/campaigns.md: every key of a campaigns file.

The loader reads keys one by one and has no list of them; this is the list, and a test holds it to
the loader: which keys there are, which must be given, and what the default of each other one is.
"""

from typing import Final, NamedTuple

from rules import TRIGGERS
from rules.campaigns import LATER, MOST_SENDS, VERSION
from streams.reference.markdown import head, table, written


class Key(NamedTuple):
    """One key; ``default`` as written in the file, "" = it must be given, None = it may be absent.

    ``example`` is a value as written in the file.
    """

    name: str
    default: str | None
    example: str
    meaning: str


FILE: Final = (
    Key("version", "", f"{VERSION}", "Of the file's form; leave it."),
    Key(
        "app",
        "",
        '"shop"',
        "The name shoppers know: texts sign with it, and every id and every lot is made from it. "
        "Once live, keep it.",
    ),
    Key(
        "mode",
        '"dry_run"',
        '"live"',
        '`"dry_run"` decides and records and sends nothing; `"live"` sends.',
    ),
    Key("currency", "", '"CNY"', "Of every price in the file and of `worth`."),
    Key(
        "timezone",
        "",
        '"Asia/Shanghai"',
        "For people whose zone nobody told; every use is counted. Also that of `from` and `until`.",
    ),
    Key("basket", "", "180.0", "The order value assumed when neither cart nor history tells."),
    Key(
        "testers",
        "[]",
        '["u-1"]',
        "User ids of your own people: no holdout, no exploration, no caps, no cooldown. Consent "
        "and quiet hours bind them too; they are flagged and never trained on.",
    ),
    Key(
        "arbitration_window",
        '"1m"',
        '"60s"',
        "Messages for one person that are due within this time compete; the most useful speaks.",
    ),
    Key(
        "settle",
        '"2m"',
        '"2m"',
        "Nothing is due sooner than this after its last event was received: phones that were "
        "offline send late, and the order may still be on its way.",
    ),
    Key(
        "allow_simulated_model",
        "false",
        "false",
        "Whether a model learned from a simulated shop may speak; true only in a demo.",
    ),
)
HOLDOUT: Final = (
    Key("share", "", "0.05", "The share of people who are never spoken to."),
    Key("epoch", "", '"2026Q4"', "A new name draws new groups."),
)
EXPLORATION: Final = (
    Key("share", "", "0.10", "The share of decisions in which chance chooses."),
    Key(
        "channels",
        "[]",
        '["push", "email"]',
        "Chance chooses among silence, the best channel and these, if they may speak.",
    ),
)
QUIET: Final = (
    Key("from", "", '"21:00"', "When nobody is spoken to any more, on her own clock."),
    Key("to", "", '"08:00"', "When it ends; equal to `from` = never quiet."),
)
CHANNEL: Final = (
    Key("cost", "", "0.05", "What one message costs."),
    Key(
        "patience",
        "",
        "0.30",
        "What you would pay not to disturb one person once; above 0. It grows with what she has "
        "heard lately.",
    ),
    Key(
        "deliver_within",
        "",
        '"4h"',
        "After this a message that has not reached her is dropped (`expires_at` of the action).",
    ),
)
CAP: Final = (
    Key("name", "", '"any-24h"', "Its name in the reason `cap:<name>`."),
    Key(
        "kind",
        "",
        '"rolling"',
        '`"rolling"` counts back from now, `"calendar_day"` counts the person\'s own day, `"gap"` '
        "is a pause between two messages.",
    ),
    Key("window", "", '"24h"', "How far it counts back; left out for `calendar_day`."),
    Key("limit", "", "1", f"How many it allows, 1 to {MOST_SENDS}; left out for `gap`."),
    Key("channel", None, '"push"', "Left out, it counts all channels together."),
)
CAMPAIGN: Final = (
    Key("id", "", '"cart"', "Its name in ids, records and metrics."),
    Key("version", "", "1", "Raise it when the campaign means something else than before."),
    Key(
        "status",
        '"live"',
        '"live"',
        '`"live"`, `"dry_run"` or `"paused"`; `mode` of the file overrules `"live"`.',
    ),
    Key("trigger", "", '"cart_abandonment"', f"One of {', '.join(f'`{k}`' for k in TRIGGERS)}."),
    Key("channels", "", '["push"]', "Which it may use."),
    Key("purpose", '"marketing"', '"marketing"', 'Only `"marketing"` in this release.'),
    Key("template", "", '"cart"', "The folder of its words."),
    Key("margin", "", "0.3", "The part of an order's value that is yours to keep."),
    Key("conversion_window", "", '"24h"', "An order within this time counts."),
    Key(
        "prior_order_rate",
        "",
        "0.10",
        "The share that orders without any message, ASSUMED until a model is in force.",
    ),
    Key("cooldown", "", '"72h"', "How long this campaign leaves her alone after it has spoken."),
    Key("stale_after", "", '"14h"', "Later than this after it was due, it is not said at all."),
    Key("delay", "", '"1h"', "Carts only: time after the last change of the cart."),
    Key(
        "hard_limit",
        '"4h"',
        '"4h"',
        "Carts only: changes start the delay anew, never beyond this after the first one. The "
        "default is `delay` where that is longer than 4 h.",
    ),
    Key(
        "when_quiet",
        '"hold"',
        '"hold"',
        '`"hold"` decides anew when she is awake, `"drop"` forgets it.',
    ),
    Key(
        "when_capped",
        '"drop"',
        '"drop"',
        'The same when a cap is full, or when something else was said instead (`"outranked"`).',
    ),
    Key("from", None, "2026-11-01", "First day."),
    Key("until", None, "2026-11-11", "Last day, to its end."),
)

# By header as written in the file; the second text says what the section is.
SECTIONS: Final = {
    "": ("The file", FILE),
    "[holdout]": ("Who hears nothing, so that effects can be measured. Left out: nobody.", HOLDOUT),
    "[exploration]": ("How often chance chooses. Left out: never.", EXPLORATION),
    "[quiet_hours]": ("Left out: 21:00 to 08:00.", QUIET),
    "[channel.push]": ("One section per channel, with its name. At least one.", CHANNEL),
    "[[cap]]": ("One section per cap; all of them must allow.", CAP),
    "[[campaign]]": ("One section per campaign. At least one.", CAMPAIGN),
}


def page() -> str:
    """Return the page."""
    lines = head(
        "The campaigns file",
        "`streams/reference/campaigns.py`, held to the loader by a test",
        "TOML. Durations are a whole number with its unit: `45s`, `30m`, `4h`, `7d`. Money is in "
        "`currency`. A share of 0.05 is five per cent. `rekindle campaigns check FILE` finds every "
        "mistake with its line and says how to mend it. The file that ships is "
        "[rules/campaigns.toml](../../rules/campaigns.toml).",
    )
    for header, (said, keys) in SECTIONS.items():
        lines += [f"## {said}", ""] if not header else [f"## `{header}`", "", said, ""]
        rows = [[f"`{key.name}`", _default(key), f"`{key.example}`", key.meaning] for key in keys]
        lines += table(["key", "default", "example", "meaning"], rows)
    lines += [
        "## `[campaign.lift]`",
        "",
        (
            "One number per channel of the campaign above it: the odds of an order with the "
            "message, divided by the odds without it. ASSUMED until your holdout has spoken; "
            "reports say so."
        ),
        "",
        "## Not yet",
        "",
        "These keys are refused with a sentence that says so: "
        + ", ".join(f"`{key}`" for key in LATER)
        + '; and `purpose = "service"`.',
    ]
    return written(lines)


def _default(key: Key) -> str:
    if key.default is None:
        return "none"
    return f"`{key.default}`" if key.default else "must be given"


__all__ = ["SECTIONS", "Key", "page"]
