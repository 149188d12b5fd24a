"""A campaigns file as frozen values: what the operator wants. Read and checked by ``rules``.

Durations are milliseconds, money is in ``Policy.currency``, shares are 0 to 1.
"""

from functools import cached_property
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct

from engine import controls
from engine.controls import Held, Standing
from engine.events import SettingsRecord
from engine.times import DAY, HOUR, MINUTE, SECOND

Mode = Literal["dry_run", "live"]
WhenBlocked = Literal["hold", "drop"]


class Cap(Struct, frozen=True, kw_only=True):
    """At most ``limit`` sends in ``window``; ``channel`` None = over all channels.

    ``gap``: at least ``window`` between two sends (``limit`` is 1). ``calendar_day``: per day of
    the user's zone (``window`` is ignored).
    """

    name: str
    kind: Literal["rolling", "calendar_day", "gap"]
    window: int = DAY
    limit: int = 1
    channel: str | None = None


class Channel(Struct, frozen=True, kw_only=True):
    """How a channel is carried and what it costs; ``patience`` prices one interruption."""

    name: str
    cost: float
    patience: float
    deliver_within: int


class QuietHours(Struct, frozen=True):
    """Local wall-clock minutes of the day; may span midnight. Equal bounds = never quiet."""

    start: int = 21 * 60
    end: int = 8 * 60


class Holdout(Struct, frozen=True):
    """The share of users who are never spoken to, so that effects can be measured."""

    share: float = 0.05
    epoch: str = ""


class Exploration(Struct, frozen=True):
    """The share of decisions drawn uniformly over {none, best, ``channels``}."""

    share: float = 0.0
    channels: tuple[str, ...] = ()


class Campaign(Struct, frozen=True, kw_only=True):
    """Binds a trigger, guards, channels, worth and words. ``starts``/``ends``: ms or None."""

    id: str
    version: int
    trigger: str
    channels: tuple[str, ...]
    template: str
    margin: float
    conversion_window: int
    prior_order_rate: float
    lift: dict[str, float]
    status: Literal["live", "dry_run", "paused"] = "live"
    starts: int | None = None
    ends: int | None = None
    delay: int = HOUR
    hard_limit: int = 4 * HOUR
    cooldown: int = 0
    stale_after: int = DAY
    when_quiet: WhenBlocked = "hold"
    when_capped: WhenBlocked = "drop"


class Policy(Struct, frozen=True, kw_only=True, dict=True):
    """One campaigns file in force."""

    app: str
    mode: Mode
    currency: str
    timezone: str
    basket: float
    channels: dict[str, Channel]
    campaigns: dict[str, Campaign]
    caps: tuple[Cap, ...] = ()
    testers: frozenset[str] = frozenset()
    arbitration_window: int = MINUTE
    settle: int = 120 * SECOND
    allow_simulated_model: bool = False
    holdout: Holdout = Holdout()
    exploration: Exploration = Exploration()
    quiet_hours: QuietHours = QuietHours()

    @cached_property
    def longest_window(self) -> int:
        """Return how long a send must be remembered: the longest cap window or cooldown, ms.

        A calendar day of one zone may begin 25 h ago (autumn), hence 26 h at least.
        """
        windows = [cap.window for cap in self.caps]
        cooldowns = [campaign.cooldown for campaign in self.campaigns.values()]
        return max([26 * HOUR, *windows, *cooldowns])


def _pauses(held: Held, target: str) -> bool:
    return held.target == target and not held.share


class Settings(Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """Which artefacts and pauses are in force in one partition: the sum of its settings records.

    ``paused`` names what is paused, for releases that read nothing else; ``held`` says by whom and
    until when, and holds the throttles. A name without an entry there is paused with no end.
    """

    campaigns: str | None = None
    templates: str | None = None
    model: str | None = None
    paused: tuple[str, ...] = ()
    held: tuple[Held, ...] = ()

    def merged(self, delta: SettingsRecord) -> "Settings":
        """Return these settings with a settings record applied; twice is the same as once."""
        paused, held, control = set(self.paused), self.held, delta.control
        for name, on in delta.pause.items():
            if control is None or name != control.target:
                (paused.add if on else paused.discard)(name)
                held = tuple(one for one in held if not _pauses(one, name))
        if control is not None:
            silent = Held(target=control.target)  # paused, and nobody said by whom
            known = control.target not in paused or any(
                _pauses(one, control.target) for one in held
            )
            held = controls.applied(held if known else (*held, silent), control)
            pauses = any(_pauses(one, control.target) for one in held)
            (paused.add if pauses else paused.discard)(control.target)
            held = tuple(one for one in held if one != silent)
        return Settings(
            campaigns=delta.campaigns or self.campaigns,
            templates=delta.templates or self.templates,
            model=delta.model or self.model,
            paused=tuple(sorted(paused)),
            held=held,
        )

    @cached_property
    def _all(self) -> tuple[Held, ...]:
        """Return everything held back, also what is paused without a word."""
        told = {one.target for one in self.held if not one.share}
        return (*self.held, *(Held(target=name) for name in self.paused if name not in told))

    @cached_property
    def _endless(self) -> Standing | None:
        """Return what holds at any time; None where something ends."""
        ends = any(one.until is not None for one in self.held)
        return None if ends else controls.standing(self._all, 0)

    def standing(self, now: int) -> Standing:
        """Return what is paused and throttled at ``now`` (ms): asked for every candidate."""
        return self._endless or controls.standing(self._all, now)

    def digest(self) -> str:
        """Return the ``settings_hash``: 16 hex digits of sha256 of the canonical JSON."""
        return sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]


__all__ = [
    "Campaign",
    "Cap",
    "Channel",
    "Exploration",
    "Holdout",
    "Mode",
    "Policy",
    "QuietHours",
    "Settings",
    "WhenBlocked",
]
