"""The tests of the rules would notice: each broken rule here is caught by its own test groups."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import alerts
from tests.support.alerts import RECORDED, RULES, run

BY_NAME = {alert.name: alert for alert in alerts.alerts()}

# alert, key of the rule, what stands there, what is put in its place
MUTANTS = [
    ("EventToActionBudgetBurnFast", "expr", "14.4 * 0.01", "24 * 0.01"),
    ("LatenessBudgetBurnFast", "expr", "> 100", "> 10"),
    ("FreshnessBudgetBurnTicket", "expr", "offset 6h", "offset 1m"),
    ("LanesHalted", "expr", "> 0", "> 1"),
    ("LanesHalted", "for", "1m", "0m"),
    ("TimeStandsStill", "expr", "== 0", "== 1"),
    ("TicksMissing", "expr", "> 180", "> 60"),
    ("ConsumerLag", "for", "3m", "1m"),
    ("ConsumerLag", "expr", "> 30", "> 60"),
    ("ConsumerStalled", "expr", "> 0.9", "> -1"),
    ("RecordedDecisionsDiffer", "expr", "< 900", "> 900"),
    ("DeadLetters", "expr", "> 0.001", "> 0.0001"),
    ("CapViolation", "expr", "[10m]", "[30m]"),
    ("CapViolation", "expr", "over_cap", "ok"),
    ("CapViolation", "expr", "< 600", "< 6000"),
    ("ConsentViolation", "expr", "and on (instance)", "unless on (instance)"),
    ("AuditStale", "expr", "absent", "time() *"),
    ("AuditSilent", "expr", "> 3600", "> 36000"),
    ("GatewayRejecting", "expr", "< 0.98", "< 0.999"),
    ("HardBounceCritical", "expr", "> 200", "> 2"),
    ("HardBounceHigh", "expr", "hard_bounces_total", 'outcomes_total{type="bounced"}'),
    ("ModelDrift", "expr", "and on ()", "or on ()"),
    ("ModelMiscalibrated", "expr", "> 1000", "> 500"),
    ("ModelRefused", "expr", "== 0", ">= 0"),
    ("PausedByMachine", "expr", "audit|brake", "audit|operator"),
    ("KpiAnomalyCritical", "expr", "== 2", ">= 1"),
    ("AnomalyDetectorStale", "expr", "seconds > 0", "seconds"),
    ("ObserverBehind", "expr", "max by", "min by"),
    ("ObserverBehind", "expr", "seconds > 0)", "seconds)"),
    ("BestSellersSoldOut", "expr", 'seller="best",', ""),
    ("BestSellersSoldOut", "for", "30m", "5m"),
    ("RedisServerDown", "expr", "or up", "and up"),
    ("RedisMemoryHigh", "expr", "(redis_memory_max_bytes > 0)", "redis_memory_max_bytes"),
    ("MemoryGrowth", "expr", "[15m]", "[2h]"),
    ("WorkerDown", "expr", ">= 2", ">= 1"),
    ("PageEscalatedToSecond", "for", "15m", "5m"),
    ("PageEscalatedToOwner", "expr", 'severity="page"', 'severity=~"page|ticket"'),
]


def told(folder: Path, name: str, rule: dict[str, Any]) -> tuple[int, str]:
    """Let promtool try a rule alone, on the test groups of its alert."""
    broken = folder / "rule.yml"
    broken.write_text(yaml.safe_dump({"groups": [{"name": "alone", "rules": [rule]}]}))
    mine = [case for case in alerts.cases() if case.alert == name]
    code, said = 0, ""
    for path in dict.fromkeys(case.file for case in mine):
        files = [RULES / file for file in RECORDED if file in path.read_text("utf-8")]
        orders = [group["name"] for file in files for group in alerts.read(file)["groups"]]
        given = alerts.read(path) | {
            "rule_files": [*map(str, files), str(broken)],
            "group_eval_order": [*orders, "alone"],
            "tests": [case.group for case in mine if case.file == path],
        }
        (folder / "cases.yml").write_text(yaml.safe_dump(given))
        failed, text = run("promtool", ["test", "rules", folder / "cases.yml"])
        code, said = code or failed, said + text
    return code, said


def id_of(mutant: tuple[str, str, str, str]) -> str:
    return f"{mutant[0]}: {mutant[2]} -> {mutant[3]}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=id_of)
def test_a_broken_rule_is_caught(mutant: tuple[str, str, str, str], tmp_path: Path) -> None:
    name, key, there, instead = mutant
    rule = deepcopy(BY_NAME[name].rule)
    assert there in rule[key]
    rule[key] = rule[key].replace(there, instead)
    code, said = told(tmp_path, name, rule)
    assert code != 0, "nobody noticed"
    assert "FAILED" in said
    assert "parse error" not in said, said


@pytest.mark.parametrize("name", ["ConsumerLag", "CapViolation"])
def test_the_same_rule_unbroken_is_let_through(name: str, tmp_path: Path) -> None:
    code, said = told(tmp_path, name, BY_NAME[name].rule)
    assert code == 0, said
