"""The files of the demo: the shipped ones, with what a simulated shop may do and what it pays."""

import re
from typing import Final

from engine.errors import Refused
from rules import campaigns
from streams.demo.goods import CURRENCY
from streams.observing import kpi_file

HOLDOUT: Final = 0.2
# While it learns, chance decides more often than in production (10 %): one month is short.
EXPLORES: Final = 0.3


def learning() -> bytes:
    """Return the file of the first month: live, a holdout that shows, much left to chance.

    SMS too: what is never tried cannot be measured, and the prior takes it for the dearest.
    """
    more = (_EXPLORATION, f"share = {EXPLORES:.2f}"), (_TRIED, _ALL)
    return _changed(campaigns.shipped(), *more, *_LIVE)


def settled() -> bytes:
    """Return the file from then on: it explores as the shipped one does."""
    return _changed(campaigns.shipped(), *_LIVE)


def always() -> bytes:
    """Return the file of a shop that says whatever it may: consent and caps bind, worth does not.

    Patience costs next to nothing, every message is taken to work wonders, nothing is left to
    chance. Holdout as before, so that the same people are spoken of.
    """
    text = _changed(campaigns.shipped(), (_EXPLORATION, "share = 0.0"), *_LIVE)
    text = re.sub(rb"(?m)^patience = [0-9.]+", b"patience = 0.000001", text)
    return re.sub(rb"(?m)^(push|email|sms) = [0-9.]+", rb"\1 = 50.0", text)


def stricter() -> bytes:
    """Return a file to try a replay with: settled, and one message a week fewer."""
    text = _changed(
        settled(), (r'(?<=name = "any-7d"\n)kind = "rolling"\nwindow = "7d"\nlimit = 3', _TWO)
    )
    return b"# As campaigns.toml, but two messages a week at most. Edit it, and replay.\n" + text


def kpis() -> bytes:
    """Return the KPI file: the shipped one, with the shop's hours and what its visits cost."""
    return _changed(
        kpi_file.shipped(),
        (r'^currency = ".*"', f'currency = "{CURRENCY}"'),
        (r'^zone = ".*"', 'zone = "Asia/Shanghai"'),
        (r'(?<=name = "paid_search"\n)', "cost_per_visit = 0.9\n"),
        (r'(?<=name = "affiliate"\n)', "cost_per_day = 60\n"),
    )


_TWO: Final = 'kind = "rolling"\nwindow = "7d"\nlimit = 2'
_EXPLORATION: Final = r"(?<=\[exploration\]\n)share = [0-9.]+"
_TRIED: Final = r'^channels = \["push", "email"\]'
_ALL: Final = 'channels = ["push", "email", "sms"]'
_LIVE: Final = (
    (r'^mode = "dry_run"', 'mode = "live"'),
    (r"(?<=\[holdout\]\n)share = [0-9.]+", f"share = {HOLDOUT}"),
    (r"^allow_simulated_model = false", "allow_simulated_model = true"),
)


def _changed(content: bytes, *changes: tuple[str, str]) -> bytes:
    text = content.decode()
    for was, now in changes:
        text, changed = re.subn(was, now, text, count=1, flags=re.MULTILINE)
        if not changed:
            raise Refused(f"The shipped file has no {was!r} for the demo to change.")
    return text.encode()


__all__ = ["EXPLORES", "HOLDOUT", "always", "kpis", "learning", "settled", "stricter"]
