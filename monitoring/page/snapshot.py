"""The live page as one value: a pure function of summaries, their history and the time."""

from collections.abc import Iterable, Sequence

import msgspec

from monitoring.page import outcome, standing, work
from monitoring.page.history import History
from monitoring.page.schema import VERSION, Banner, Snapshot
from monitoring.page.view import View
from monitoring.summary import Summary

_encoder = msgspec.json.Encoder()


def look(history: History, summaries: Iterable[Summary], now: int) -> None:
    """Let ``history`` take in how all processes stand at ``now`` (wall ms), points included."""
    history.add(summaries, now)
    history.note(standing.gauges(View(history.summaries, history, now)))


def snapshot(
    summaries: Iterable[Summary], history: History, now: int, alerts: Sequence[Banner] = ()
) -> Snapshot:
    """Return the page; changes nothing. ``now``: wall ms, from which ages are told.

    ``history`` has looked at the summaries before (:func:`look`). ``alerts``: those Alertmanager
    tells; where it and the page say the same, it is believed.
    """
    view = View(summaries, history, now)
    alarms = standing.alarms(view, alerts)
    return Snapshot(
        version=VERSION,
        now=now,
        since=history.since,
        clock=standing.clock(view),
        header=standing.header(view, alarms),
        health=standing.health(view),
        flow=work.flow(view),
        traffic=work.traffic(view),
        triggers=work.triggers(view),
        decisions=work.decisions(view),
        channels=outcome.channels(view),
        funnel=outcome.funnel(view),
        costs=outcome.costs(view),
        anomalies=outcome.anomalies(view, alarms),
        audit=outcome.audit(view),
        workers=work.workers(view),
        tail=work.tail(view),
        footer=work.footer(view),
        observed=outcome.observed(view),
    )


def encode(page: Snapshot) -> bytes:
    """Return the page as JSON."""
    return _encoder.encode(page)
