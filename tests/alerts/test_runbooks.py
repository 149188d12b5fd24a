"""Every alert has a page of its own that says what is particular to it, and what fired it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest

from tests.faults.alerts import record
from tests.faults.alerts.faults import FAULTS
from tests.faults.alerts.record import Fired
from tests.support import alerts, documents
from tests.support.alerts import FIRES, RUNBOOKS, Alert
from tests.support.fired import END_TO_END, index, real

ALERTS = alerts.alerts()
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
INDEX = RUNBOOKS / "README.md"

named = pytest.mark.parametrize("alert", ALERTS, ids=str)


def sections(alert: Alert) -> dict[str, str]:
    text = alert.runbook.read_text("utf-8")
    title, *parts = re.split(r"(?m)^## ", text)
    assert title.strip() == f"# {alert.name}"
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}


@named
def test_every_alert_has_a_page_with_the_four_headings(alert: Alert) -> None:
    found = sections(alert)
    assert list(found) == HEADINGS
    assert all(len(text.split()) >= 8 for text in found.values()), found


def test_no_page_is_left_of_an_alert_that_is_gone() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == {a.name for a in ALERTS}


@named
def test_a_page_gives_something_to_run_or_to_open(alert: Alert) -> None:
    blocks = list(documents.blocks(alert.runbook))
    links = [link for link in documents.links(alert.runbook) if link != "README.md"]
    assert blocks or links


def test_no_sentence_is_copied_from_page_to_page() -> None:
    """Two verdicts may share a rule's wording, but not two pages their meaning or their cure."""
    for heading in ("Meaning", "Impact", "Mitigation"):
        said = {alert.name: set(sections(alert)[heading].split()) for alert in ALERTS}
        for (one, left), (other, right) in combinations(said.items(), 2):
            alike = len(left & right) / len(left | right)
            assert alike < 0.6, f"{one} and {other} say the same under {heading}"


@named
def test_every_command_of_promql_on_a_page_asks_for_what_exists(alert: Alert) -> None:
    for block in documents.blocks(alert.runbook):
        if block.language == "promql":
            for line in block.text.splitlines():
                assert not alerts.impossible(line)


# --- what fired it --------------------------------------------------------------------------------


def test_the_index_is_up_to_date() -> None:
    assert INDEX.read_text("utf-8") == index(), "run: python -m tests.support.fired"


@named
def test_no_alert_is_without_a_fault_that_fired_it(alert: Alert) -> None:
    row = next(line for line in INDEX.read_text().splitlines() if f"[{alert.name}]" in line)
    fired_by = row.split("|")[4]
    in_series = [c for c in alerts.cases() if c.alert == alert.name and c.kind == FIRES]
    assert ("**Real**" in fired_by) == (alert.name in real())
    assert all(case.says in fired_by for case in in_series)
    assert in_series


@pytest.mark.parametrize("alert", [a for a in ALERTS if a.name != "Watchdog"], ids=str)
def test_every_alert_but_the_watchdog_was_fired_by_a_fault_on_real_processes(alert: Alert) -> None:
    assert [one.fault for one in record.read() if alert.name in one.seconds]


def test_what_is_on_record_is_what_the_faults_say_today() -> None:
    assert disagreements(record.read()) == []


def test_a_record_of_another_fault_than_today_s_is_found() -> None:
    first, *others = record.read()
    for wrong in (
        [],
        [replace(first, fault="of-yesterday")],
        [replace(first, says="something else was broken")],
        [replace(first, seconds={})],
        [replace(first, seconds={**first.seconds, "Watchdog": 1.0})],
        [replace(first, shortened=[*first.shortened, "NoWorkers: [1h] -> [1s]"])],
    ):
        assert first.fault in disagreements([*wrong, *others])


def test_what_a_fault_shortens_stands_in_the_rules_that_ship() -> None:
    """Or a rule was changed, and nobody knows whether its fault still fires it."""
    shipped = alerts.recorded() | {alert.name: alert.rule["expr"] for alert in ALERTS}
    for fault in FAULTS:
        for rule, cuts in fault.shortened.items():
            assert all(old in shipped[rule] for old, _ in cuts), f"{fault.name}: {rule}"


def disagreements(records: Sequence[Fired]) -> list[str]:
    """Return the names of faults whose record is missing, too much, or of another fault."""
    kept = {(one.fault, one.says, frozenset(one.seconds), tuple(one.shortened)) for one in records}
    wanted = {(one.name, one.says, frozenset(one.fires), tuple(one.cuts)) for one in FAULTS}
    return sorted(name for name, *_ in kept ^ wanted)


def test_a_real_fault_is_asserted_end_to_end() -> None:
    test = (alerts.ROOT / "tests/integration/test_alerts_end_to_end.py").read_text("utf-8")
    waited = Counter(re.findall(r'watched\.wait\("(\w+)"', test))
    assert waited.keys() >= END_TO_END.keys()
