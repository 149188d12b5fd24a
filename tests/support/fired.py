"""Which injected fault fired which alert: on real processes, or else as series in promtool.

``python -m tests.support.fired`` writes the index of the runbooks, which says it of every alert.
"""

from collections.abc import Iterator
from typing import Final

from tests.support.alerts import FIRES, RUNBOOKS, alerts, cases

# Asserted by tests/integration/test_alerts_end_to_end.py, which injects each of these.
REAL: Final = {
    "CapViolation": "a second message over a cap was written into the topic of a real audit",
    "ActionsUndecided": "a message that no decision names was written beside a real audit",
    "PausedByMachine": "a real audit paused the channel of a message over a cap",
    "WorkerDown": "one of two real workers was ended with -9",
    "Watchdog": "nothing: it always fires",
}

_HEAD = """# Runbooks of the alerts

One page for each alert of `ops/prometheus/rules`: what it means, what it does to shoppers, how
to find the cause, what to do. How alerts reach people, and how they are acknowledged and
silenced, is in [alerts](../how-to/alerts.md). What to do when something big happens to the data
(a lost Redis, another number of partitions) is step by step in the [runbooks of
operations](../how-to/runbooks.md).

`page`: a person, now. `ticket`: the next working day. `none`: nobody; its silence is the alarm.

The last column says which injected fault fired the alert. **Real**: on real processes, through
a real Prometheus and Alertmanager to a webhook (`tests/integration/test_alerts_end_to_end.py`).
*Series*: on made-up series, by `promtool` (`tests/alerts`), which is a proof of the rule and
none of the metric. Each alert has beside it at least one test that must not fire it.

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
    for alert in alerts():
        told = [f"**Real**: {REAL[alert.name]}"] if alert.name in REAL else []
        told += [f"*Series*: {'; '.join(series[alert.name])}"] if alert.name in series else []
        labels = alert.labels
        yield (
            f"| [{alert.name}]({alert.name}.md) | {labels['severity']} | {labels['team']} "
            f"| {'. '.join(told)} |"
        )


if __name__ == "__main__":
    (RUNBOOKS / "README.md").write_text(index(), "utf-8")
