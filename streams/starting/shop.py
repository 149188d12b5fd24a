"""Makes the folder of a new shop from what ships with rekindle; nothing in it can send."""

import os
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from engine.errors import Refused
from rules import campaigns, templates
from streams.campaigns_file import checked
from streams.settings import SETTINGS, ChannelSetting, Setting

CAMPAIGNS: Final = "campaigns.toml"
TEMPLATES: Final = "templates"
ENVIRONMENT: Final = ".env"

_FILES: Final = Path(__file__).parent / "files"
# Only its owner may read what holds a secret.
_OWNER_ONLY: Final = 0o600
_SET_HERE: Final = "OPERATOR_TOKEN"
# Set by `rekindle demo` and `rekindle up` for the broker they start themselves.
_NOT_YOURS: Final = frozenset({"EMBEDDED"})


class Shop(Struct, frozen=True, kw_only=True):
    """What a new shop is called, reckons in, and where its people live if nobody told."""

    name: str
    currency: str = "CNY"
    timezone: str = "Asia/Shanghai"


def start(folder: Path, shop: Shop, token: str) -> list[str]:
    """Fill an empty or new folder; returns the names of what was written, in order.

    ``token``: the operator's, kept in ``.env`` alone. Raises Refused, before anything is written,
    when the folder holds something or the shop's name, currency or zone cannot be used.
    """
    content = _campaigns(shop)
    words = templates.artefact()
    checked(content, "the new campaigns file", words)
    files = {
        CAMPAIGNS: content,
        **{f"{TEMPLATES}/{name}": text.encode() for name, text in _words(words)},
        "docker-compose.yml": _filled("docker-compose.yml", shop),
        ".gitignore": _filled("gitignore", shop),
        "README.md": _filled("README.md", shop),
    }
    _claim(folder)
    try:
        _write(folder, files, "\n".join([*_environment(token), ""]).encode())
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror}."
        raise Refused(message) from error
    return [ENVIRONMENT, *files]


def _claim(folder: Path) -> None:
    """Make the folder; raises Refused when there is something in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = next(folder.iterdir(), None) is None
    except FileExistsError:
        message = f"{folder} is a file: name a folder that is new, or empty."
        raise Refused(message) from None
    except OSError as error:
        message = f"{folder} cannot be used: {error.strerror}."
        raise Refused(message) from error
    if not empty:
        message = f"{folder} is not empty, and nothing in it is touched: name a new folder."
        raise Refused(message)


def _write(folder: Path, files: Mapping[str, bytes], environment: bytes) -> None:
    # first and with its mode from the beginning, so that the token is never open to others
    secret = os.open(folder / ENVIRONMENT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(secret, "wb") as file:
        file.write(environment)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _campaigns(shop: Shop) -> bytes:
    """Return the shipped campaigns file with the shop's own name, currency and zone."""
    text = campaigns.shipped().decode()
    for key, value in (
        ("app", shop.name),
        ("currency", shop.currency),
        ("timezone", shop.timezone),
    ):
        found = re.search(rf'^{key} = "[^"]*"', text, flags=re.MULTILINE)
        assert found is not None
        # what JSON writes between quotes, TOML reads
        line = f"{key} = {msgspec.json.encode(value).decode()}"
        text = text[: found.start()] + line + text[found.end() :]
    text = text.replace("Edit a copy, then:", "Edit it, then:")
    return text.replace("my-campaigns.toml", CAMPAIGNS).encode()


def _words(artefact: bytes) -> Iterator[tuple[str, str]]:
    yield from sorted(templates.read(artefact).files.items())


def _filled(name: str, shop: Shop) -> bytes:
    """Return a file that ships for this, with the shop's words in its gaps."""
    text = (_FILES / name).read_text(encoding="utf-8")
    gaps = {
        "name": shop.name,
        "currency": shop.currency,
        "image": f"rekindle:{version('rekindle')}",
    }
    for gap, word in gaps.items():
        text = text.replace("{{" + gap + "}}", word)
    return text.encode()


def _environment(token: str) -> Iterator[str]:
    """Yield the settings file: every setting there is, only the token set."""
    yield "# Settings of rekindle. `docker compose` reads this file; for commands in a shell:"
    yield "# set -a; . ./.env; set +a. A line without # is in force; `rekindle settings` tells."
    for setting in SETTINGS:
        if setting.name in _NOT_YOURS:
            continue
        yield ""
        yield f"# {setting.meaning}"
        if setting.name == _SET_HERE:
            yield f"{setting.variable}={token}"
        else:
            yield f"# {_line(setting)}"


def _line(setting: Setting | ChannelSetting) -> str:
    example = setting.example
    if isinstance(setting, ChannelSetting):
        return example or f"{setting.variable.replace('<CHANNEL>', 'PUSH')}="
    return f"{setting.variable}={setting.default or example}"


__all__ = ["CAMPAIGNS", "ENVIRONMENT", "TEMPLATES", "Shop", "start"]
