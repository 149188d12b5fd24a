"""Every alert has a page of its own that says what is particular to it, and what fired it."""

import re
from collections import Counter
from itertools import combinations

import pytest

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


def test_a_real_fault_is_asserted_end_to_end() -> None:
    test = (alerts.ROOT / "tests/integration/test_alerts_end_to_end.py").read_text("utf-8")
    waited = Counter(re.findall(r'watched\.wait\("(\w+)"', test))
    assert waited.keys() >= END_TO_END.keys()
