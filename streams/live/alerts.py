"""What Alertmanager tells now: asked while somebody reads, and never waited for long."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, get_args

import aiohttp

from engine.times import SECOND
from monitoring.page.schema import Banner, Severity

log = logging.getLogger(__name__)

# ms for which an answer serves, and s an answer may take.
_FRESH: Final = 5 * SECOND
_PATIENCE: Final = 2.0
_PATH: Final = "/api/v2/alerts?active=true&silenced=false&inhibited=false"
_MOST: Final = 50


class Alertmanager:
    """Asks one Alertmanager; what it does not say is said as unknown."""

    def __init__(self, url: str | None, wall: Callable[[], int]) -> None:
        """``url`` None = there is none to ask; ``wall``: ms."""
        self._url = None if url is None else url.rstrip("/") + _PATH
        self._wall = wall
        self._asked_at = 0
        self._told: list[Banner] = []

    async def alerts(self) -> list[Banner]:
        """Return the alerts that fire and are neither silenced nor inhibited."""
        if self._url is not None and self._wall() - self._asked_at >= _FRESH:
            self._asked_at = self._wall()
            self._told = await self._ask(self._url)
        return self._told

    async def _ask(self, url: str) -> list[Banner]:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_PATIENCE)) as session,
                session.get(url) as answer,
            ):
                answer.raise_for_status()
                found = await answer.json()
            return [_banner(each) for each in found[:_MOST] if _counts(each)]
        except (TimeoutError, aiohttp.ClientError, ValueError, TypeError, KeyError) as away:
            log.debug("Alertmanager does not answer: %s", away)
            sentence = "Alertmanager does not answer: what it would tell is not known."
            return [Banner(severity="ticket", sentence=sentence, source="alertmanager")]


def _counts(alert: dict[str, Any]) -> bool:
    """Return whether it is about something: the dead man's switch always fires."""
    return alert["labels"].get("severity") in get_args(Severity)


def _banner(alert: dict[str, Any]) -> Banner:
    labels, notes = alert["labels"], alert.get("annotations", {})
    return Banner(
        severity=labels["severity"],
        sentence=str(notes.get("summary") or labels["alertname"]),
        since=round(datetime.fromisoformat(alert["startsAt"]).timestamp() * SECOND),
        runbook=labels["alertname"],
        source="alertmanager",
    )


__all__ = ["Alertmanager"]
