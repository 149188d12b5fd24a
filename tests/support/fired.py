"""Which injected fault fired which alert: on real processes, or else as series in promtool.

``python -m tests.support.fired`` writes the index of the runbooks, which says it of every alert.
"""

from collections.abc import Iterator
from typing import Final

from tests.faults.alerts import record
from tests.support.alerts import FIRES, RUNBOOKS, alerts, cases

# Asserted by tests/integration/test_alerts_end_to_end.py, which injects each of these.
END_TO_END: Final = {
    "CapViolation": "a second message over a cap was written into the topic of a real audit",
    "ActionsUndecided": "a message that no decision names was written beside a real audit",
    "PausedByMachine": "a real audit paused the channel of a message over a cap",
    "WorkerDown": "one of two real workers was ended with -9",
    "Watchdog": "nothing: it always fires",
}


def real() -> dict[str, list[str]]:
    """Return alert -> the faults on real processes that fired it."""
    told = {alert: [says] for alert, says in END_TO_END.items()}
    for fired in record.read():
        for alert in fired.seconds:
            told.setdefault(alert, []).append(fired.says)
    return told


_HEAD = """# Runbooks of the alerts

One page for each alert of `ops/prometheus/rules`: what it means, what it does to shoppers, how
to find the cause, what to do. How alerts reach people, and how they are acknowledged and
silenced, is in [alerts](../how-to/alerts.md). What to do when something big happens to the data
(a lost Redis, another number of partitions) is step by step in the [runbooks of
operations](../how-to/runbooks.md).

`page`: a person, now. `ticket`: the next working day. `none`: nobody; its silence is the alarm.

The last column says which injected fault fired the alert. **Real**: on real processes scraped by a
real Prometheus, with the waits (`for`) of the rules cut to a second; whatever else was shortened
stands in the fault (`python -m tests.faults.alerts.run`; the record of each, with its seconds, in
`tests/faults/alerts/fired`). Some were fired as well with the waits that ship, through Alertmanager
to a webhook (`tests/integration/test_alerts_end_to_end.py`). *Series*: on made-up series, by
`promtool` (`tests/alerts`), with the waits and windows that ship. Each alert has beside it at least
one test that must not fire it.

| alert | severity | team | fired by |
|---|---|---|---|
"""


def index() -> str:
    """Return docs/runbooks/README.md."""
    return _HEAD + "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    series: dict[str, list[str]] = {}
    for case in cases():
        if case.kind == FIRES:
            series.setdefault(case.alert, []).append(case.says)
    found = real()
    for alert in alerts():
        told = [f"**Real**: {'; '.join(found[alert.name])}"] if alert.name in found else []
        told += [f"*Series*: {'; '.join(series[alert.name])}"] if alert.name in series else []
        labels = alert.labels
        yield (
            f"| [{alert.name}]({alert.name}.md) | {labels['severity']} | {labels['team']} "
            f"| {'. '.join(told)} |"
        )


def write() -> None:
    """Write docs/runbooks/README.md anew."""
    (RUNBOOKS / "README.md").write_text(index(), "utf-8")


if __name__ == "__main__":
    write()
