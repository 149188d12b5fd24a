"""Where the visits of the simulated shop come from, as its apps tell it: nobody buys because of it.

Told by the first message of a visit, as SDKs do. One lot a visit, so the same seed tells the same.
"""

from typing import Any, Final, NamedTuple

from streams.demo.chance import Chance


class Origin(NamedTuple):
    """One way to come, the share of the visits that come so, and what a message says of it."""

    share: float
    told: dict[str, Any]


def _campaign(name: str, source: str, medium: str) -> dict[str, Any]:
    return {"campaign": {"name": name, "source": source, "medium": medium}}


def _referrer(url: str) -> dict[str, Any]:
    return {"page": {"referrer": url}}


_WAYS: Final = (
    Origin(0.24, _referrer("https://www.baidu.com/")),
    Origin(0.18, _campaign("autumn", "baidu", "cpc")),
    Origin(0.12, _referrer("https://weibo.com/")),
    Origin(0.08, _campaign("partners", "partner-a", "affiliate")),
)


def of_visit(chance: Chance, key: str) -> dict[str, Any]:
    """Return what the context of a visit's first message says of where it came from.

    Nothing for the rest of the visits: they came by themselves.
    """
    lot = chance.lot("origin", key)
    for way in _WAYS:
        if lot < way.share:
            return way.told
        lot -= way.share
    return {}


__all__ = ["Origin", "of_visit"]
