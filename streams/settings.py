"""What the deployment says through REKINDLE_ variables; nobody else reads the environment."""

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from engine.errors import Refused
from engine.times import DAY, HOUR, MINUTE, SECOND

PREFIX: Final = "REKINDLE_"
# Names of the test suite (TEST_KAFKA, TEST_DATA ...): allowed, and none of our business.
_TESTS: Final = f"{PREFIX}TEST_"

# Addresses that mean every network of the machine; none of them can be called.
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - read, not bound

# What the live page may lead to.
LINKS: Final = ("grafana", "alertmanager", "runbooks")

DIALECTS: Final = ("segment",)
Clock = Literal["live", "source"]
LogForm = Literal["text", "json"]
GatewayKind = Literal["console", "jsonl", "webhook", "none"]


class Source(NamedTuple):
    """A topic of the apps and the dialect its records are written in."""

    topic: str
    dialect: str


class Gateway(Struct, frozen=True):
    """Who carries a channel; ``target`` is a path for jsonl and a URL for webhook."""

    kind: GatewayKind
    target: str = ""


class Deployment(Struct, frozen=True, kw_only=True):
    """Where this process runs and with whom it speaks; durations are milliseconds.

    What decides (campaigns, caps, settle) is not here: the step is a function of the log alone.
    """

    kafka: str
    redis: str
    sources: tuple[Source, ...]
    topic_prefix: str
    worker_id: str
    models: Path
    http: str
    clock: Clock
    tick_spacing: int
    fetch_linger: int
    fetch_wait: int
    embedded: bool
    oldest_backup: int
    operator_token: str | None
    links: dict[str, str]
    kpis: Path | None
    log: LogForm
    trace: str | None
    trace_share: float
    gateways: dict[str, Gateway]
    webhook_secrets: dict[str, str]

    @classmethod
    def from_env(cls, environ: Mapping[str, str], host: str = "localhost") -> "Deployment":
        """Read the settings; raises Refused with one sentence per wrong value or unknown name.

        ``host`` names this machine in the default of WORKER_ID.
        """
        wrong = _unknown(environ)
        values: dict[str, Any] = {}
        for setting in SETTINGS:
            try:
                values[setting.field] = setting.read(environ, values)
            except ValueError as problem:
                wrong.append(str(problem))
        if wrong:
            raise Refused("\n".join(wrong))
        values["worker_id"] = values["worker_id"] or f"{host}-{values['http'].rpartition(':')[2]}"
        return cls(**values)

    @classmethod
    def from_process(cls) -> "Deployment":
        """Read the settings of this process; raises Refused."""
        return cls.from_env(os.environ, socket.gethostname())

    @classmethod
    def of_child(cls, **settings: str) -> dict[str, str]:
        """Return the environment of a process we start: ours, with these settings replaced."""
        return os.environ | {PREFIX + name: value for name, value in settings.items()}

    @property
    def http_host(self) -> str:
        """Return the address the HTTP port listens on."""
        return self.http.rpartition(":")[0].strip("[]")

    @property
    def http_port(self) -> int:
        """Return the HTTP port."""
        return int(self.http.rpartition(":")[2])

    @property
    def reached_at(self) -> str:
        """Return host:port where others reach it: by this machine's name if it listens at all."""
        host = self.http_host
        if host in _EVERYWHERE:
            host = socket.gethostname()
        return f"[{host}]:{self.http_port}" if ":" in host else f"{host}:{self.http_port}"

    def __repr__(self) -> str:
        """Say where, never a secret: a deployment may end up in a log."""
        return f"Deployment(kafka={self.kafka!r}, redis={_without_password(self.redis)!r})"

    def gateway(self, channel: str) -> Gateway:
        """Return who carries ``channel``; the console when nothing was said."""
        return self.gateways.get(channel, Gateway("console"))

    def webhook_secret(self, channel: str) -> str | None:
        """Return the secret that signs hand-overs of ``channel``."""
        return self.webhook_secrets.get(channel)


# --- readers: text in, value out; a ValueError says what the text should have been ---------------


def _bootstrap(text: str, _: Mapping[str, Any]) -> str:
    for broker in text.split(","):
        _address(broker.strip())
    return text.replace(" ", "")


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        message = "write host:port, for example 127.0.0.1:6066"
        raise ValueError(message)
    return text


def _http(text: str, _: Mapping[str, Any]) -> str:
    return _address(text)


def _redis(text: str, _: Mapping[str, Any]) -> str:
    if not re.match(r"(rediss?(\+cluster)?|unix)://.", text):
        message = (
            "write redis://host:port/db, rediss:// for TLS, unix:///path, or "
            "redis+cluster://host:port,host:port for a cluster"
        )
        raise ValueError(message)
    scheme, rest = text.split("://", 1)
    if scheme.endswith("+cluster"):
        for node in rest.rpartition("@")[2].partition("?")[0].rstrip("/").split(","):
            _address(node)
    elif "," in rest.rpartition("@")[2]:
        message = "several nodes are a cluster: write redis+cluster://host:port,host:port"
        raise ValueError(message)
    return text


def _prefix(text: str, _: Mapping[str, Any]) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", text):
        message = "use at most 100 letters, digits, dots, dashes and underscores"
        raise ValueError(message)
    return text


def _sources(text: str, so_far: Mapping[str, Any]) -> tuple[Source, ...]:
    if not text:
        return (Source(f"{so_far.get('topic_prefix', 'rekindle.')}events.raw", "segment"),)
    found = []
    for entry in text.split(","):
        topic, _, dialect = entry.strip().partition(":")
        dialect = dialect or "segment"
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic):
            message = "write topic or topic:dialect, several separated by commas"
            raise ValueError(message)
        if dialect not in DIALECTS:
            message = f"{dialect!r} is no dialect; there is {', '.join(DIALECTS)}"
            raise ValueError(message)
        found.append(Source(topic, dialect))
    if len({source.topic for source in found}) < len(found):
        message = "name each topic once"
        raise ValueError(message)
    return tuple(found)


def _text(text: str, _: Mapping[str, Any]) -> str:
    return text


def _optional(text: str, _: Mapping[str, Any]) -> str | None:
    return text or None


def _optional_path(text: str, _: Mapping[str, Any]) -> Path | None:
    return Path(text).expanduser() if text else None


def _path(text: str, _: Mapping[str, Any]) -> Path:
    return Path(text).expanduser()


def _clock(text: str, _: Mapping[str, Any]) -> str:
    if text not in ("live", "source"):
        message = "write live, or source when the data carries its own time"
        raise ValueError(message)
    return text


_UNITS: Final = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR}


def duration(text: str) -> int:
    """Read 200ms, 0.2s, 5m or 1h as milliseconds; raises ValueError saying so."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)", text.strip())
    if match is None:
        message = "write a number with its unit: 200ms, 0.2s, 5m or 1h"
        raise ValueError(message)
    return round(float(match[1]) * _UNITS[match[2]])


def _age(text: str, _: Mapping[str, Any]) -> int:
    match = re.fullmatch(r"(\d+)\s*(h|d)", text.strip())
    if match is None or int(match[1]) == 0:
        message = "write hours or days: 12h, 7d"
        raise ValueError(message)
    return int(match[1]) * (HOUR if match[2] == "h" else DAY)


def _spacing(text: str, _: Mapping[str, Any]) -> int:
    spacing = duration(text)
    if not 10 <= spacing <= MINUTE:
        message = "ticks are written 10ms to 1m apart"
        raise ValueError(message)
    return spacing


def _linger(text: str, _: Mapping[str, Any]) -> int:
    linger = duration(text)
    if linger > SECOND:
        message = "a fetch may wait at most 1s"
        raise ValueError(message)
    return linger


def _wait(text: str, _: Mapping[str, Any]) -> int:
    wait = duration(text)
    if not 1 <= wait <= 10 * SECOND:
        message = "an empty fetch waits 1ms to 10s at the broker"
        raise ValueError(message)
    return wait


def _log(text: str, _: Mapping[str, Any]) -> str:
    if text not in ("text", "json"):
        message = "write text or json"
        raise ValueError(message)
    return text


def _links(text: str, _: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _equals, url = entry.partition("=")
        if name not in LINKS or not re.match(r"https?://[^/\s]+", url):
            message = f"write {'=URL,'.join(LINKS)}=URL, or some of these"
            raise ValueError(message)
        found[name] = url
    return found


def _endpoint(text: str, _: Mapping[str, Any]) -> str | None:
    if text and not re.match(r"https?://[^/\s]+", text):
        message = "write the URL of an OTLP/HTTP collector, http://host:4318/v1/traces"
        raise ValueError(message)
    return text or None


def _share(text: str, _: Mapping[str, Any]) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        message = "a share is a number from 0 to 1"
        raise ValueError(message)
    return share


def _yes_or_no(text: str, _: Mapping[str, Any]) -> bool:
    if text not in {"yes", "no"}:
        message = "write yes or no"
        raise ValueError(message)
    return text == "yes"


def _gateway(text: str) -> Gateway:
    kind, _, target = text.partition(":")
    match kind:
        case "console" | "none" if not target:
            return Gateway(kind)
        case "jsonl" if target:
            return Gateway(kind, target)
        case "webhook" if re.match(r"https?://[^/\s]+", target):
            return Gateway(kind, target)
        case _:
            message = "write console, jsonl:PATH, webhook:https://host/path or none"
            raise ValueError(message)


def _secret(text: str) -> str:
    if len(text) < 16:
        message = "a signing secret has at least 16 characters"
        raise ValueError(message)
    return text


# --- the table -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable: its name without prefix, its default as written, and what it means."""

    name: str
    field: str
    default: str
    meaning: str
    parse: Callable[[str, Mapping[str, Any]], Any]
    secret: bool = False
    example: str = ""

    @property
    def variable(self) -> str:
        """Return the name as written in the environment."""
        return PREFIX + self.name

    def read(self, environ: Mapping[str, str], so_far: Mapping[str, Any]) -> Any:
        """Read it; empty counts as not set."""
        text = environ.get(self.variable, "").strip() or self.default
        with _naming(self.variable, text, secret=self.secret):
            return self.parse(text, so_far)

    def shown(self, environ: Mapping[str, str]) -> list["Shown"]:
        """Return the row of `rekindle settings`."""
        text = environ.get(self.variable, "").strip()
        value = text or self.default
        if self.secret:
            value = "set" if text else "not set"
        elif self.name == "REDIS":
            value = _without_password(value)
        origin: Origin = "environment" if text else "default"
        return [Shown(self.variable, value, origin, self.meaning)]


@dataclass(frozen=True, slots=True)
class ChannelSetting:
    """A family of variables, one per channel: NAME_<CHANNEL>."""

    name: str
    field: str
    default: str
    meaning: str
    parse: Callable[[str], Any]
    secret: bool = False
    example: str = ""

    @property
    def variable(self) -> str:
        """Return the name as written in the documentation."""
        return f"{PREFIX}{self.name}_<CHANNEL>"

    def channel(self, variable: str) -> str | None:
        """Return the channel a variable of this family is about; None for any other variable."""
        match = re.fullmatch(rf"{PREFIX}{self.name}_([A-Z][A-Z0-9_]*)", variable)
        return match[1].lower() if match else None

    def read(self, environ: Mapping[str, str], _: Mapping[str, Any]) -> dict[str, Any]:
        """Read all of the family."""
        found = {}
        for variable, text in sorted(environ.items()):
            channel = self.channel(variable)
            if channel is not None and text.strip():
                with _naming(variable, text.strip(), secret=self.secret):
                    found[channel] = self.parse(text.strip())
        return found

    def shown(self, environ: Mapping[str, str]) -> list["Shown"]:
        """Return one row per variable of the family, or one for its default."""
        rows = [
            Shown(name, "set" if self.secret else text.strip(), "environment", self.meaning)
            for name, text in sorted(environ.items())
            if self.channel(name) is not None and text.strip()
        ]
        value = "not set" if self.secret else self.default
        return rows or [Shown(self.variable, value, "default", self.meaning)]


class _naming:  # noqa: N801 - reads as the word it is in a with statement
    """Turns what a reader says into one sentence that names the variable; secrets stay unsaid."""

    def __init__(self, variable: str, text: str, *, secret: bool) -> None:
        self._said = variable if secret else f"{variable}={_without_password(text)}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, problem: BaseException | None, __: object) -> None:
        if isinstance(problem, ValueError):
            message = f"{self._said} cannot be used: {problem}."
            raise ValueError(message) from None  # noqa: TRY004 - the same error, named


Origin = Literal["environment", "default"]


class Shown(Struct, frozen=True):
    """One row of `rekindle settings`."""

    name: str
    value: str
    origin: Origin
    meaning: str


# TOPIC_PREFIX stands before SOURCES, whose default uses it.
SETTINGS: Final[tuple[Setting | ChannelSetting, ...]] = (
    Setting("KAFKA", "kafka", "127.0.0.1:9092", "Brokers, separated by commas.", _bootstrap),
    Setting(
        "REDIS",
        "redis",
        "redis://127.0.0.1:6379/0",
        "The Redis that keeps profiles; its policy must be noeviction. A Redis Cluster is named by "
        "one or more of its nodes.",
        _redis,
        example="redis+cluster://10.0.0.1:6379,10.0.0.2:6379",
    ),
    Setting(
        "TOPIC_PREFIX",
        "topic_prefix",
        "rekindle.",
        "What the names of our topics begin with.",
        _prefix,
    ),
    Setting(
        "SOURCES",
        "sources",
        "",
        "Topics the apps publish to, topic[:dialect], separated by commas; "
        "empty = <TOPIC_PREFIX>events.raw:segment.",
        _sources,
        example="shop.events:segment",
    ),
    Setting(
        "WORKER_ID",
        "worker_id",
        "",
        "The name under which a worker that comes back gets its partitions back at once; "
        "empty = host name and HTTP port.",
        _text,
        example="worker-1",
    ),
    Setting(
        "MODELS",
        "models",
        "rekindle-models",
        "The folder where `rekindle train` keeps models.",
        _path,
    ),
    Setting(
        "HTTP",
        "http",
        "127.0.0.1:6066",
        "Where the worker listens: /v1/*, /live, /metrics, /healthz, /readyz.",
        _http,
    ),
    Setting(
        "CLOCK",
        "clock",
        "live",
        "live: the worker writes ticks; source: loaders write them and the data carries the time.",
        _clock,
    ),
    Setting(
        "TICK_SPACING",
        "tick_spacing",
        "100ms",
        "The shortest time between two ticks of a partition; longer where a process has more than "
        "20 partitions in which somebody is due.",
        _spacing,
    ),
    Setting(
        "FETCH_LINGER",
        "fetch_linger",
        "0ms",
        "How long a fetch waits for company: saves CPU at low rates, costs that much latency.",
        _linger,
    ),
    Setting(
        "FETCH_WAIT",
        "fetch_wait",
        "500ms",
        "How long an empty fetch is held by the broker; 5ms for the embedded one, which holds it "
        "to the end even when records arrive.",
        _wait,
    ),
    Setting(
        "EMBEDDED",
        "embedded",
        "no",
        "yes: the broker is the embedded one, so topics come by first use and are not checked; "
        "set by `rekindle demo` and `rekindle up`.",
        _yes_or_no,
    ),
    Setting(
        "OLDEST_BACKUP",
        "oldest_backup",
        "1d",
        "The age of the oldest backup of Redis you would restore, in h or d; `rekindle doctor` "
        "holds the retention of the topics against it.",
        _age,
        example="7d",
    ),
    Setting(
        "OPERATOR_TOKEN",
        "operator_token",
        "",
        "What must be sent to act on the live page, to look up a person and to post products; not "
        "set = refused.",
        _optional,
        secret=True,
    ),
    Setting(
        "LINKS",
        "links",
        "",
        "Where the live page leads: grafana=URL,alertmanager=URL,runbooks=URL; the alerts of "
        "Alertmanager are shown on it.",
        _links,
        example="alertmanager=http://127.0.0.1:9093",
    ),
    Setting(
        "KPIS",
        "kpis",
        "",
        "The KPI file `rekindle observe` reads: what is watched, where visits come from and what "
        "they cost; empty = the shipped one.",
        _optional_path,
        example="/etc/rekindle/kpis.toml",
    ),
    Setting(
        "LOG",
        "log",
        "text",
        "How the log on stderr is written: text for people, json for whatever collects it.",
        _log,
    ),
    Setting(
        "TRACE",
        "trace",
        "",
        "Where spans of sampled events are sent, an OTLP/HTTP collector; empty = nothing is "
        "traced. Needs the extra `tracing`.",
        _endpoint,
        example="http://127.0.0.1:4318/v1/traces",
    ),
    Setting(
        "TRACE_SHARE",
        "trace_share",
        "0.001",
        "The share of events that is traced from intake to hand-over, 0 to 1; drawn by the id of "
        "the event, so all workers draw the same.",
        _share,
    ),
    ChannelSetting(
        "GATEWAY",
        "gateways",
        "console",
        "Who carries a channel: console, jsonl:PATH, webhook:URL or none (your own gateway reads "
        "the topic).",
        _gateway,
        example="REKINDLE_GATEWAY_PUSH=webhook:https://push.example/send",
    ),
    ChannelSetting(
        "WEBHOOK_SECRET",
        "webhook_secrets",
        "",
        "The secret that signs hand-overs of a channel to its webhook.",
        _secret,
        secret=True,
    ),
)

# Names people try, and where the thing lives instead.
_ELSEWHERE: Final = {
    "SETTLE": "it is `settle` in the campaigns file, because replay must know it",
    "MODE": "it is `mode` in the campaigns file, because replay must know it",
    "PARTITIONS": "it is chosen once, by rekindle topics create --partitions",
}


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = [setting.variable for setting in SETTINGS if isinstance(setting, Setting)]
    families = [setting for setting in SETTINGS if isinstance(setting, ChannelSetting)]
    wrong = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name.startswith(_TESTS) or name in known:
            continue
        if any(family.channel(name) is not None for family in families):
            continue
        elsewhere = _ELSEWHERE.get(name.removeprefix(PREFIX))
        close = get_close_matches(name, known + [f.variable for f in families], n=1, cutoff=0.75)
        if elsewhere:
            wrong.append(f"{name} is no setting: {elsewhere}.")
        elif close:
            wrong.append(f"{name} is no setting: did you mean {close[0]}?")
        else:
            wrong.append(f"{name} is no setting: `rekindle settings` lists those there are.")
    return wrong


def _without_password(text: str) -> str:
    """Return a URL with its password hidden; any other text as it is."""
    if "://" not in text or "@" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:  # not a URL after all; what it hides is not known either
        return "***"
    if "@" not in parts.netloc:
        return text
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{name}:***@{host}"))


# --- showing -------------------------------------------------------------------------------------


def shown(environ: Mapping[str, str] | None = None) -> list[Shown]:
    """Return every setting with its value; secrets only as set or not set.

    ``environ`` None = that of this process.
    """
    found = os.environ if environ is None else environ
    return [row for setting in SETTINGS for row in setting.shown(found)]


def markdown() -> str:
    """Return the reference page of the settings."""
    rows = [
        f"| `{setting.variable}` | {_default(setting)} | {setting.meaning}{_example(setting)} |"
        for setting in SETTINGS
    ]
    return _PAGE + "\n".join(rows) + "\n"


def _default(setting: Setting | ChannelSetting) -> str:
    if setting.secret:
        return "not set (secret)"
    return f"`{setting.default}`" if setting.default else "empty"


def _example(setting: Setting | ChannelSetting) -> str:
    return f" Example: `{setting.example}`." if setting.example else ""


_PAGE: Final = """# Settings

Written by `rekindle settings --markdown`; the table lives in `streams/settings.py`.

Settings come from the environment only. An unknown `REKINDLE_` name and a value that cannot be used
are refused at the start with one sentence each; `rekindle settings` shows what is in force and
never prints a secret. `<CHANNEL>` is PUSH, SMS, EMAIL or the name of your own channel. Durations
carry their unit: `200ms`, `0.2s`, `5m`, `1h`. Variables that begin with `REKINDLE_TEST_` belong to
the test suite.

What decides about messages (campaigns, caps, quiet hours, `settle`) is not here but in the
campaigns file: a decision is a function of the log, so that a replay decides the same.

| variable | default | meaning |
|---|---|---|
"""
