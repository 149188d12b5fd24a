"""What a campaigns file promises, read from its TOML alone: caps, quiet hours, holdout."""

import re
import tomllib
from dataclasses import dataclass
from datetime import time
from hashlib import sha256
from typing import Any, Final

from monitoring.audit.reading import DAY, HOUR, MINUTE, SECOND, Unreadable

_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_QUIET: Final = (21 * 60, 8 * 60)
# A day of the calendar may begin 25 h ago, in autumn.
_CALENDAR: Final = 26 * HOUR


@dataclass(frozen=True, slots=True)
class Cap:
    """At most ``limit`` sends; ``window`` in ms; ``channel`` None = over all channels."""

    name: str
    kind: str
    window: int
    limit: int
    channel: str | None


@dataclass(frozen=True, slots=True)
class Campaign:
    """What arms it, and how long its cart may wait at most (ms, 0 for other triggers)."""

    id: str
    trigger: str
    hard_limit: int


@dataclass(frozen=True, slots=True)
class Terms:
    """One campaigns file. ``quiet``: from and to, minutes of the day. ``settle``: ms."""

    app: str
    timezone: str
    settle: int
    share: float
    epoch: str
    quiet: tuple[int, int]
    testers: frozenset[str]
    caps: tuple[Cap, ...]
    campaigns: tuple[Campaign, ...]

    @property
    def memory(self) -> int:
        """Return how long a charge may bind, ms."""
        return max([_CALENDAR, *[cap.window for cap in self.caps]])

    def withholds(self, user: str) -> bool:
        """Return whether she is in the holdout: ``sha256(app|epoch|holdout|user)`` below the share.

        The first 53 bits of the digest are the lot. Testers are never withheld.
        """
        if user in self.testers:
            return False
        digest = sha256(f"{self.app}|{self.epoch}|holdout|{user}".encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53 < self.share


def read(content: bytes) -> Terms:
    """Read a campaigns file; raises Unreadable."""
    try:
        file = tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
        return _terms(file)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"a campaigns file cannot be read: {error!r}"
        raise Unreadable(message) from error


def _terms(file: dict[str, Any]) -> Terms:
    holdout = file.get("holdout", {"share": 0.0, "epoch": ""})
    hours = file.get("quiet_hours")
    return Terms(
        app=file["app"],
        timezone=file["timezone"],
        settle=duration(file.get("settle", "2m")),
        share=float(holdout["share"]),
        epoch=holdout["epoch"],
        quiet=_QUIET if hours is None else (minutes(hours["from"]), minutes(hours["to"])),
        testers=frozenset(file.get("testers", ())),
        caps=tuple(_cap(cap) for cap in file.get("cap", ())),
        campaigns=tuple(_campaign(campaign) for campaign in file.get("campaign", ())),
    )


def _cap(cap: dict[str, Any]) -> Cap:
    kind = cap.get("kind", "rolling")
    window = DAY if kind == "calendar_day" else duration(cap["window"])
    return Cap(cap["name"], kind, window, int(cap.get("limit", 1)), cap.get("channel") or None)


def _campaign(campaign: dict[str, Any]) -> Campaign:
    delay = campaign.get("delay")
    limit = campaign.get("hard_limit")
    if limit is None:
        return Campaign(
            campaign["id"], campaign["trigger"], max(duration(delay), 4 * HOUR) if delay else 0
        )
    return Campaign(campaign["id"], campaign["trigger"], duration(limit))


def duration(text: str) -> int:
    """Read ``90m`` as ms; raises ValueError."""
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if found is None:
        message = f"{text!r} is no duration"
        raise ValueError(message)
    return int(found[1]) * _UNITS[found[2]]


def minutes(clock: str | time) -> int:
    """Read ``21:00`` as minutes of the day; raises ValueError."""
    at = clock if isinstance(clock, time) else time.fromisoformat(clock)
    return at.hour * 60 + at.minute
