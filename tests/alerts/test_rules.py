"""Every rule is right by promtool, fires on its fault and not beside it, and names what exists."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from monitoring import metrics
from tests.support import alerts
from tests.support.alerts import FIRES, HEALTHY, PROMETHEUS, SILENT, Alert, family, impossible, run
from tests.support.promql import metrics_of

ALERTS = alerts.alerts()
LEAST = 40
SEVERITIES = {"page", "ticket", "none"}
TEAMS = {"sre", "marketing-ops", "data"}

# Of Prometheus itself, of redis_exporter, of Alertmanager, of the client library.
FOREIGN: Final = {
    "up",
    "ALERTS",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "prometheus_rule_evaluation_failures_total",
    "alertmanager_notifications_failed_total",
    "redis_up",
    "redis_memory_used_bytes",
    "redis_memory_max_bytes",
    "redis_evicted_keys_total",
}
# A cause wakes nobody. These areas may: what shoppers feel, rules that were broken, and the loss
# of what the rules stand on.
MAY_PAGE = {"slo", "pipeline", "audit", "delivery", "business", "escalation"}
PAGES_OF_CAUSES = {"RedisEvicting": "an evicted profile is a forgotten opt-out: no mere cause"}

named = pytest.mark.parametrize("alert", ALERTS, ids=str)


def test_promtool_takes_the_configuration_and_every_rule() -> None:
    code, said = run("promtool", ["check", "config", PROMETHEUS])
    assert code == 0, said
    assert said.count("rules found") == len(alerts.rule_files()), said


@pytest.mark.parametrize("path", alerts.case_files(), ids=lambda path: path.stem)
def test_every_alert_fires_on_its_fault_and_not_beside_it(path: Path) -> None:
    code, said = run("promtool", ["test", "rules", path])
    assert code == 0, said


def test_there_are_enough_alerts_and_no_name_twice() -> None:
    names = Counter(alert.name for alert in ALERTS)
    assert len(names) >= LEAST
    assert names.most_common(1)[0][1] == 1


@named
def test_an_alert_says_to_whom_how_soon_what_and_where(alert: Alert) -> None:
    assert alert.labels["severity"] in SEVERITIES
    assert alert.labels["team"] in TEAMS
    assert alert.labels["area"] == ("slo" if alert.file.stem == "slo" else alert.file.stem)
    told = alert.annotations
    assert told.keys() == {"summary", "runbook_url", "dashboard"}
    assert told["runbook_url"] == "{{ $externalLabels.runbooks }}/" + f"{alert.name}.md"
    assert re.fullmatch(
        r"\{\{ \$externalLabels\.grafana \}\}/d/rekindle-[a-z]+", told["dashboard"]
    ), told
    assert told["summary"].endswith((".", ":", ")"))


@named
def test_the_dashboard_an_alert_leads_to_exists(alert: Alert) -> None:
    uid = alert.annotations["dashboard"].rpartition("/")[2]
    assert (alerts.OPS / f"grafana/dashboards/{uid}.json").exists()


@named
def test_a_page_is_never_about_a_cause(alert: Alert) -> None:
    if alert.labels["severity"] == "page":
        assert alert.labels["area"] in MAY_PAGE or alert.name in PAGES_OF_CAUSES


@named
def test_a_share_has_a_least_number_behind_it(alert: Alert) -> None:
    """A division of counts is guarded by a count: one of one is a hundred percent."""
    expr = alert.rule["expr"]
    divides = "increase(" in expr and "/ " in expr
    if divides or "error_ratio_rate" in expr:
        guards = re.findall(r"(?m)^\)?\s*and .*(increase.*) > \d+$|^and .*(increase) ", expr)
        by_time = alert.labels.get("slo") == "freshness"  # a share of time has minutes behind it
        assert guards or by_time or "] offset 1h)) > " in expr, expr


@named
def test_every_alert_has_a_test_that_fires_it_and_one_that_must_not(alert: Alert) -> None:
    kinds = {case.kind for case in alerts.cases() if case.alert == alert.name}
    if alert.name == "Watchdog":
        assert kinds == {FIRES}, "it can never be silent; healthy.yml asks that it is alone"
    else:
        assert kinds == {FIRES, SILENT}
    for case in alerts.cases():
        if case.alert == alert.name:
            last = case.group["alert_rule_test"][-1]
            assert last["alertname"] == alert.name
            assert bool(last["exp_alerts"]) == (case.kind == FIRES), case.group["name"]


def test_a_healthy_shop_raises_nothing_and_every_alert_is_asked() -> None:
    [group] = alerts.read(HEALTHY)["tests"]
    asked = {test["alertname"]: bool(test["exp_alerts"]) for test in group["alert_rule_test"]}
    assert asked.keys() == {alert.name for alert in ALERTS}
    assert [name for name, fires in asked.items() if fires] == ["Watchdog"]


@pytest.mark.parametrize("path", alerts.case_files(), ids=lambda path: path.stem)
def test_the_order_of_groups_is_given_because_alerts_read_recorded_series(path: Path) -> None:
    file = alerts.read(path)
    groups = [
        group["name"]
        for name in file["rule_files"]
        for group in alerts.read((path.parent / name).resolve())["groups"]
    ]
    assert sorted(file["group_eval_order"]) == sorted(groups)
    assert all(group.get("external_labels") for group in file["tests"])


# --- names ---------------------------------------------------------------------------------------

EXPRESSIONS = [
    pytest.param(rule["expr"], id=rule.get("alert") or rule["record"])
    for path in alerts.rule_files()
    for rule in alerts.rules(path)
]


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_every_series_that_is_asked_for_exists(expr: str) -> None:
    known = FOREIGN | alerts.recorded().keys()
    wrong = [name for name in metrics_of(expr) if not (name in known or family(name))]
    assert not wrong


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_every_label_that_is_asked_for_exists_with_its_values(expr: str) -> None:
    assert not impossible(expr)


@pytest.mark.parametrize(
    "wrong",
    [
        'rekindle_audit_actions_total{verdict="overcap"}',
        'sum(rate(rekindle_event_to_action_seconds_bucket{le="3.0"}[5m])) > 1',
        'rekindle_lag_seconds{user="7"}',
    ],
)
def test_a_label_that_does_not_exist_is_found(wrong: str) -> None:
    assert impossible(wrong)


def test_every_verdict_of_the_audit_but_ok_has_a_page() -> None:
    asked = " ".join(a.rule["expr"] for a in ALERTS if a.labels["severity"] == "page")
    for verdict in metrics.VERDICTS[1:]:
        assert f'verdict="{verdict}"' in asked
