"""Who is told what: the routes by amtool, and what Alertmanager keeps back."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import alerts
from tests.support.alerts import ALERTMANAGER, run

ROUTED = [
    ("alertname=Watchdog severity=none team=sre area=platform", "deadman"),
    ("alertname=LanesHalted severity=page team=sre area=pipeline agent=decide", "oncall"),
    ("alertname=NoWorkers severity=page team=sre area=pipeline", "oncall"),
    ("alertname=ActionsLost severity=page team=sre area=audit channel=sms", "oncall"),
    ("alertname=CapViolation severity=page team=sre channel=sms", "marketing-ops,oncall"),
    ("alertname=ActionsUndecided severity=page team=sre channel=sms", "marketing-ops,oncall"),
    ("alertname=HardBounceCritical severity=page team=marketing-ops", "marketing-ops,oncall"),
    ("alertname=KpiAnomalyCritical severity=page team=marketing-ops", "marketing-ops,oncall"),
    ("alertname=KpiAnomaly severity=ticket team=marketing-ops kpi=orders", "marketing-ops"),
    ("alertname=PausedByMachine severity=ticket team=marketing-ops", "marketing-ops"),
    ("alertname=ModelDrift severity=ticket team=data feature=cart_value", "data"),
    ("alertname=WorkerDown severity=ticket team=sre worker=w-7", "tickets"),
    ("alertname=PageEscalatedToSecond severity=page team=sre escalation=second", "second"),
    ("alertname=PageEscalatedToOwner severity=page team=sre escalation=owner", "owner"),
    ("alertname=SomethingNew severity=ticket", "tickets"),
]


def routed(labels: str, receivers: str) -> tuple[int, str]:
    return run(
        "amtool",
        [
            *("config", "routes", "test", "--config.file", ALERTMANAGER),
            *(f"--verify.receivers={receivers}", *labels.split()),
        ],
    )


def test_amtool_takes_the_configuration() -> None:
    code, said = run("amtool", ["check-config", ALERTMANAGER])
    assert code == 0, said


@pytest.mark.parametrize(("labels", "receivers"), ROUTED, ids=lambda value: value.split()[0])
def test_an_alert_reaches_whom_it_is_for(labels: str, receivers: str) -> None:
    code, said = routed(labels, receivers)
    assert code == 0, said


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=CapViolation severity=page channel=sms", "tickets"),
        ("alertname=WorkerDown severity=ticket team=sre", "oncall"),
        ("alertname=Watchdog severity=none", "oncall"),
    ],
)
def test_the_check_of_routes_can_fail(labels: str, receivers: str) -> None:
    code, _ = routed(labels, receivers)
    assert code == 1


@pytest.mark.parametrize("alert", alerts.alerts(), ids=str)
def test_every_page_reaches_a_person_and_no_ticket_does(alert: alerts.Alert) -> None:
    got = receivers_of({"alertname": alert.name, **alert.labels})
    awake = {"oncall", "second", "owner"}
    assert bool(awake & set(got)) == (alert.labels["severity"] == "page")


def receivers_of(labels: dict[str, str]) -> list[str]:
    """Walk the routes as Alertmanager does; the test below holds this walk to amtool."""
    tree = alerts.read(ALERTMANAGER)["route"]
    found: list[str] = []
    for route in tree["routes"]:
        if all(matches(matcher, labels) for matcher in route["matchers"]):
            found.append(route["receiver"])
            if not route.get("continue"):
                return found
    return found or [tree["receiver"]]


def matches(matcher: str, labels: dict[str, str]) -> bool:
    read = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher)
    assert read, matcher
    value, kind = labels.get(read[1], ""), read[2]
    equal = bool(re.fullmatch(read[3], value)) if "~" in kind else value == read[3]
    return equal != kind.startswith("!")


@pytest.mark.parametrize(("labels", "receivers"), ROUTED, ids=lambda value: value.split()[0])
def test_our_walk_of_the_routes_is_that_of_amtool(labels: str, receivers: str) -> None:
    given = dict(label.split("=") for label in labels.split())
    assert sorted(set(receivers_of(given))) == sorted(receivers.split(","))


# --- what is kept back --------------------------------------------------------------------------


def labels_of(name: str, **more: str) -> dict[str, str]:
    [alert] = [alert for alert in alerts.alerts() if alert.name == name]
    return {"alertname": name, **alert.labels, **more}


def inhibited(target: dict[str, str], source: dict[str, str]) -> bool:
    return any(
        all(matches(matcher, source) for matcher in rule["source_matchers"])
        and all(matches(matcher, target) for matcher in rule["target_matchers"])
        and all(source.get(label, "") == target.get(label, "") for label in rule.get("equal", []))
        for rule in alerts.read(ALERTMANAGER)["inhibit_rules"]
    )


ALL = {"dimension": "all"}
KEPT_BACK: list[tuple[str, dict[str, str], str, dict[str, str]]] = [
    ("SourceSilent", {"topic": "t"}, "NoWorkers", {}),
    ("KpiAnomalyCritical", {"kpi": "sent"}, "NoWorkers", {}),
    ("PageEscalatedToSecond", {"page": "ConsumerStalled"}, "NoWorkers", {}),
    ("ConsumerLag", {"topic": "t"}, "ServiceAway", {"service": "redis"}),
    ("AuditStale", {}, "AuditSilent", {}),
    ("EventToActionBudgetBurnTicket", {}, "EventToActionBudgetBurnFast", {}),
    ("ActionsExpired", {"channel": "sms"}, "GatewayRejecting", {"channel": "sms"}),
    (
        "KpiAnomaly",
        {"kpi": "k", "dimension": "d"},
        "KpiAnomalyCritical",
        {"kpi": "k", "dimension": "d"},
    ),
]
LET_THROUGH: list[tuple[str, dict[str, str], str, dict[str, str]]] = [
    ("CapViolation", {"channel": "sms"}, "NoWorkers", {}),
    ("AuditSilent", {}, "NoWorkers", {}),
    ("NoWorkers", {}, "NoWorkers", {}),
    ("PageEscalatedToSecond", {"page": "NoWorkers"}, "NoWorkers", {}),
    ("PageEscalatedToOwner", {"page": "CapViolation"}, "NoWorkers", {}),
    ("LatenessBudgetBurnTicket", {}, "EventToActionBudgetBurnFast", {}),
    ("ActionsExpired", {"channel": "sms"}, "GatewayRejecting", {"channel": "push"}),
    ("ModelDrift", {"feature": "f"}, "LanesHalted", {"agent": "decide"}),
    ("DeadLetters", {"topic": "t"}, "TimeStandsStill", {}),
    (
        "KpiAnomaly",
        {"kpi": "a", "dimension": "d"},
        "KpiAnomalyCritical",
        {"kpi": "b", "dimension": "d"},
    ),
]


def why(value: Any) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("target", "more", "source", "its"), KEPT_BACK, ids=why)
def test_what_follows_from_another_alert_is_kept_back(
    target: str, more: dict[str, str], source: str, its: dict[str, str]
) -> None:
    assert inhibited(labels_of(target, **more), labels_of(source, **its))


@pytest.mark.parametrize(("target", "more", "source", "its"), LET_THROUGH, ids=why)
def test_what_has_a_cause_of_its_own_is_let_through(
    target: str, more: dict[str, str], source: str, its: dict[str, str]
) -> None:
    assert not inhibited(labels_of(target, **more), labels_of(source, **its))


def test_every_alert_named_in_the_configuration_exists() -> None:
    text = Path(ALERTMANAGER).read_text("utf-8")
    names = {alert.name for alert in alerts.alerts()}
    for listed in re.findall(r'(?:alertname|page)(?:=~|!~|!=|=)"?([^"\']+)"?', text):
        for pattern in listed.split("|"):
            assert any(re.fullmatch(pattern, name) for name in names), pattern


def test_the_dead_man_is_told_every_minute_and_of_nothing_else() -> None:
    first, *others = alerts.read(ALERTMANAGER)["route"]["routes"]
    assert (first["receiver"], first["repeat_interval"]) == ("deadman", "1m")
    assert "deadman" not in {route["receiver"] for route in others}
