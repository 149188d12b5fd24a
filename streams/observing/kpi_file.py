"""Reads the KPI file, or refuses it: every problem, its line, how to mend it."""

from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Final, cast

from engine.errors import Refused
from engine.times import DAY, HOUR, MINUTE
from monitoring.anomalies import clock
from monitoring.anomalies.kpi import Kind, Kpi, Side
from monitoring.figures.acquisition import DIRECT, MOST, OTHER, Cost, Origin, Origins
from monitoring.figures.catalogue import FIGURES, Figure
from monitoring.figures.plan import Plan
from monitoring.figures.shelf import Limits
from monitoring.figures.watched import KnownDay, Table, Watched
from rules import campaigns
from rules.linter import Table as Read
from rules.linter import Wish
from streams.log.topics import CHANNELS

_WORD: Final = r"[a-z][a-z0-9_]{0,39}"
# Room for the label of every metric: the closed list is bounded.
MOST_KPIS: Final = 24
_WINDOWS: Final = (MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, DAY)
_KINDS: Final = {"count": ("level", "absence"), "share": ("ratio",), "level": ("level",)}

_NAME = Wish("a name", 'small letters, digits and "_", such as "event_rate"')
_TITLE = Wish("a title", "what people call it, at most 60 characters")
_CURRENCY = Wish("a currency", 'three capital letters, such as "EUR"')
_ZONE = Wish("a time zone", 'an IANA name such as "Europe/Rome"')
_HOSTS = Wish("a list of hosts", 'such as ["example.com"]')
_TEXTS = Wish("a list of words", 'such as ["cpc", "ppc"]')
_COST = Wish("a cost", "a number above 0, in the file's currency")
_MINIMUM = Wish("a number of at least 0", "so many events or trials")
_AFTER = Wish("a whole number from 1 to 60", "windows above the threshold before an episode opens")
_LOW = Wish("a number above 0", "so many days that what is left lasts, at most 365")
_BEST = Wish("a whole number from 1 to 20", "so many best sellers of the day")
_PER_DAY = Wish("a number above 0", "so many messages in a day")
_WHAT = Wish("a text", "what it is known for, at most 60 characters")


def shipped() -> bytes:
    """Return the KPI file that ships with rekindle."""
    return files("monitoring").joinpath("kpis.toml").read_bytes()


def load(path: Path | None) -> Table:
    """Return the table of a file, None = the shipped one; raises Refused."""
    if path is None:
        return read(shipped(), "kpis.toml")
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"REKINDLE_KPIS={path} cannot be read ({error.strerror}): name a KPI file."
        raise Refused(message) from error
    return read(content, str(path))


def read(content: bytes, name: str) -> Table:
    """Read a KPI file; ``name`` is what complaints call it.

    Raises Refused with one line per problem, ``name:line: what is wrong; how to mend it``.
    """
    file = campaigns.opened(content, name)
    zone = file.text("zone", _ZONE, r".+", "UTC")
    if not _known(zone):
        file.say("zone", f'`zone = "{zone}"` is no time zone; write {_ZONE.mend}.')
        zone = "UTC"
    watched = _watched(file, zone)
    table = Table(
        watched=tuple(watched),
        origins=_origins(file),
        days=tuple(_days(file, zone, [one.name for one in watched])),
        stock=_stock(file),
        plans=tuple(_plans(file, zone)),
        currency=file.text("currency", _CURRENCY, r"[A-Z]{3}", ""),
        sha=sha256(content).hexdigest()[:16],
    )
    file.close()
    file.complaints.refuse()
    return table


def _known(zone: str) -> bool:
    try:
        clock.zone(zone)
    except ValueError:
        return False
    return True


# --- what is watched ----------------------------------------------------------------------------


def _watched(file: Read, zone: str) -> list[Watched]:
    found: list[Watched] = []
    for row in file.tables("kpi"):
        one = _kpi(row, zone)
        if one.name in {other.name for other in found}:
            row.say("name", f'`name = "{one.name}"` stands twice; every KPI has a name of its own.')
        found.append(one)
    if len(found) > MOST_KPIS:
        file.say("kpi", f"there are {len(found)} KPIs; {MOST_KPIS} are the most that are watched.")
    return found


def _kpi(row: Read, zone: str) -> Watched:
    name = row.text("name", _NAME, _WORD)
    figure = FIGURES.get(row.choice("figure", tuple(FIGURES)))
    kind = row.choice("kind", ("level", "ratio", "absence"))
    if figure is not None and row.sound("kind", "figure") and kind not in _KINDS[figure.kind]:
        fit = " or ".join(f'"{one}"' for one in _KINDS[figure.kind])
        row.say("kind", f'`kind = "{kind}"` does not fit {figure.name}; write {fit}.')
    window = row.duration("window", default=MINUTE)
    if window not in _WINDOWS:
        row.say("window", "`window` is 1m, 5m, 10m, 30m, 1h, 6h or 1d: windows divide the day.")
        window = MINUTE
    watched = Watched(
        kpi=_set(row, name, cast("Kind", kind), window, zone, figure),
        figure=figure.name if figure is not None else "",
        title=row.text("title", _TITLE, r".{1,60}", name),
    )
    row.close()
    return watched


def _set(row: Read, name: str, kind: Kind, window: int, zone: str, figure: Figure | None) -> Kpi:
    after = row.whole("open_after", _AFTER, low=1, high=60, default=0) if "open_after" in row else 0
    counts = figure is not None and figure.kind == "count"
    log = row.switch("log", default=True)
    if counts and not log:
        row.say("log", f"{name} counts events, and counts are compared by log; leave `log` out.")
        log = True
    return Kpi(
        name=name,
        kind=kind,
        window_ms=window,
        direction=cast("Side", row.choice("direction", ("up", "down", "both"), "both")),
        minimum=row.number("minimum", _MINIMUM, low=0, default=0.0),
        counts=counts,
        log=log,
        zone=zone,
        unit=figure.unit if figure is not None else "",
        open_after=after or None,
    )


# --- where visits come from ---------------------------------------------------------------------


def _origins(file: Read) -> Origins:
    origins: list[Origin] = []
    for row in file.tables("origin"):
        one = _origin(row)
        if one.name in {other.name for other in origins}:
            row.say("name", f'`name = "{one.name}"` stands twice; name each source once.')
        origins.append(one)
    listed = {one.name for one in origins} - {DIRECT, OTHER}
    if len(listed) > MOST - 1:
        message = f"there are {len(listed)} sources beside {DIRECT}; {MOST - 1} are the most."
        file.say("origin", message)
    hosts = file.words("own_hosts", _HOSTS, ())
    return Origins(origins=tuple(origins), own=tuple(host.lower() for host in hosts))


def _origin(row: Read) -> Origin:
    name = row.text("name", _NAME, _WORD)
    source = _lower(row.words("utm_source", _TEXTS, ()))
    medium = _lower(row.words("utm_medium", _TEXTS, ()))
    referrer = _lower(row.words("referrer", _HOSTS, ()))
    if not (source or medium or referrer) and name not in (DIRECT, OTHER):
        row.say(None, f"{name} fits nothing; give it utm_source, utm_medium or referrer.")
    if (source or medium) and referrer:
        row.say("referrer", "a source is known by its campaign words or by its hosts, not by both.")
    origin = Origin(
        name=name,
        utm_source=source,
        utm_medium=medium,
        referrer=referrer,
        cost=_cost(row),
    )
    row.close()
    return origin


def _cost(row: Read) -> Cost | None:
    per_visit, per_day = "cost_per_visit" in row, "cost_per_day" in row
    if per_visit and per_day:
        row.say("cost_per_day", "a source costs per visit or per day; keep one of the two.")
    found = None
    if per_visit:
        amount = row.number("cost_per_visit", _COST, low=0, above=True)
        found = Cost(amount, "visit")
    if per_day:
        amount = row.number("cost_per_day", _COST, low=0, above=True)
        found = Cost(amount, "day")
    return found


def _lower(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


# --- what is left of products -------------------------------------------------------------------


def _stock(file: Read) -> Limits:
    section, limits = file.table("stock"), Limits()
    if section is None:
        return limits
    limits = Limits(
        low_days=section.number(
            "low_days", _LOW, low=0, high=365, above=True, default=limits.low_days
        ),
        best_sellers=section.whole(
            "best_sellers", _BEST, low=1, high=20, default=limits.best_sellers
        ),
    )
    section.close()
    return limits


# --- how much may go out ------------------------------------------------------------------------


def _plans(file: Read, zone: str) -> list[Plan]:
    found: list[Plan] = []
    for row in file.tables("plan"):
        channel = row.choice("channel", CHANNELS)
        if channel in {plan.channel for plan in found}:
            row.say("channel", f'`channel = "{channel}"` stands twice; plan each channel once.')
        per_day = row.number("per_day", _PER_DAY, low=0, above=True)
        found.append(Plan(channel=channel, per_day=per_day, zone=zone))
        row.close()
    return found


# --- days known beforehand ----------------------------------------------------------------------


def _days(file: Read, zone: str, names: Sequence[str]) -> list[KnownDay]:
    found = []
    for row in file.tables("known"):
        start = row.day("from", zone, whole_day=False)
        end = row.day("to", zone, whole_day=True)
        if start is None or end is None or end <= start:
            row.say(None, "a known stretch of time has `from` and a later `to`.")
        kpis = row.words("kpis", _TEXTS, ())
        for name in kpis:
            if name not in names:
                row.say("kpis", f'"{name}" is no KPI of this file.')
        what = row.text("what", _WHAT, r".{1,60}")
        found.append(KnownDay(what=what, start=start or 0, end=end or 0, kpis=kpis))
        row.close()
    return found


__all__ = ["MOST_KPIS", "load", "read", "shipped"]
