"""The words: shipped Liquid texts, one file per template, locale and channel, and their artefact.

A file is ``<template>/<locale>/<channel>.liquid``::

    title: what a push shows first            (push)
    subject: what an inbox shows              (email)
    deep_link: https://shop.example/cart      (all; https only)
    ---
    The body as plain text.
    ---
    <p>The same as HTML.</p>                  (email)

Every part is Liquid. Only the HTML part is to be escaped automatically; header lines are one line
each. The context holds plain values only:

=================== =============================================================================
``items``           what the message speaks of: ``product_id``, ``name`` ("" when the shop never
                    told it), ``price`` (of one, as a shopper reads it; "" when unknown),
                    ``quantity`` (whole number); may be empty
``first_item``      the first of ``items``, or nil
``more``            how many items there are beyond the first, 0 or more
``shop``            ``app`` of the campaigns file: the sender's name
``locale``          the locale of the file that is rendered
``deep_link``       the rendered ``deep_link:`` line (not known inside that line itself)
``unsubscribe_url`` where she leaves this channel, on the host of ``deep_link``; never wrap it in a
                    tracked link
=================== =============================================================================

The shipped texts point to ``shop.example``, which nobody owns: :func:`unedited` names the files
in which the shop's own address is still missing. What law asks beyond them is the shop's: in the
USA a postal address in the footer of e-mails.
"""

import re
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from engine.errors import Refused

VERSION: Final = 1
PLACEHOLDER: Final = "shop.example"

_SHIPPED = Path(__file__).parent
# <template>/<locale>/<channel>.liquid; the gateway's linter judges what stands inside.
_PLACE = re.compile(r"[a-z0-9][a-z0-9-]*/[a-z]{2,3}(-[A-Za-z0-9]{2,8})*/[a-z0-9_-]+\.liquid")


class TemplateSet(Struct, frozen=True):
    """The artefact: every file by its path ``<template>/<locale>/<channel>.liquid``."""

    v: int
    files: dict[str, str]


def artefact(extra_dir: Path | None = None) -> bytes:
    """Return the template set as canonical JSON: the shipped files and, over them, ``extra_dir``.

    Raises Refused when a file is not where it belongs or not UTF-8. Whether the words are good is
    judged by ``streams.delivery.lint``, which can render them.
    """
    files = _read(_SHIPPED)
    if extra_dir is not None:
        if not extra_dir.is_dir():
            raise Refused(f"{extra_dir} is not a folder; name the one that holds your templates")
        files |= _read(extra_dir)
    return msgspec.json.encode(TemplateSet(VERSION, files), order="deterministic")


def _read(folder: Path) -> dict[str, str]:
    """Read every template below a folder; line ends as on any machine, so that hashes agree."""
    files = {}
    for path in sorted(folder.rglob("*.liquid")):
        name = path.relative_to(folder).as_posix()
        if _PLACE.fullmatch(name) is None:
            raise Refused(
                f"{name}:1: not where templates are looked for; "
                "name it <template>/<locale>/<channel>.liquid, such as cart/en/push.liquid"
            )
        try:
            files[name] = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise Refused(f"{name}:1: the file is not UTF-8; save it as UTF-8") from None
    return files


def read(content: bytes) -> TemplateSet:
    """Read a template set artefact; raises Refused when it is none or of another version."""
    try:
        found = msgspec.json.decode(content, type=TemplateSet)
    except msgspec.DecodeError:  # a ValidationError is one
        raise Refused("This is not a template set; make one with `rekindle apply`.") from None
    if found.v != VERSION:
        raise Refused(
            f"The template set has version {found.v}, this program reads version {VERSION}: "
            "use the release of rekindle that made it."
        )
    return found


def names(content: bytes) -> set[str]:
    """Return the names of the templates in an artefact: what ``template`` may be in a campaign."""
    return {path.split("/")[0] for path in read(content).files}


def unedited(content: bytes) -> list[str]:
    """Return the files that still point to ``shop.example``: they cannot go to real people."""
    files = read(content).files
    return sorted(path for path, text in files.items() if PLACEHOLDER in text)
