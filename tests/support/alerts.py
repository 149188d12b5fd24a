"""The files under ops/ and tests/alerts as tests read them: rules, their test groups, the tools."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

from monitoring.metrics import METRICS, Metric

ROOT: Final = Path(__file__).parents[2]
OPS: Final = ROOT / "ops"
RULES: Final = OPS / "prometheus/rules"
CASES: Final = ROOT / "tests/alerts"
RUNBOOKS: Final = ROOT / "docs/runbooks"
ALERTMANAGER: Final = OPS / "alertmanager/alertmanager.yml"
PROMETHEUS: Final = OPS / "prometheus/prometheus.yml"
HEALTHY: Final = CASES / "healthy.yml"

FIRES, SILENT = " fires: ", " stays silent: "

# Files of recorded series, which other rule files read.
RECORDED: Final = ("records.yml", "slo-records.yml")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule and the file it stands in."""

    file: Path
    rule: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.rule["alert"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.rule["labels"])

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.rule["annotations"])

    @property
    def runbook(self) -> Path:
        return RUNBOOKS / f"{self.name}.md"

    def __str__(self) -> str:
        """Return its name, for the ids of tests."""
        return self.name


@dataclass(frozen=True, slots=True)
class Case:
    """One test group of promtool: ``kind`` is FIRES or SILENT, ``says`` the fault in words."""

    file: Path
    group: dict[str, Any]
    alert: str
    kind: str
    says: str


@cache
def read(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)


def rule_files() -> list[Path]:
    return sorted(RULES.glob("*.yml"))


def rules(path: Path) -> list[dict[str, Any]]:
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


def alerts() -> list[Alert]:
    """Return every alert, file by file in order."""
    return [Alert(path, rule) for path in rule_files() for rule in rules(path) if "alert" in rule]


def recorded() -> dict[str, str]:
    """Return every recorded series with its expression."""
    return {
        rule["record"]: rule["expr"]
        for path in rule_files()
        for rule in rules(path)
        if "record" in rule
    }


def case_files() -> list[Path]:
    return sorted(CASES.glob("*.yml"))


@cache
def cases() -> tuple[Case, ...]:
    """Return every test group of one alert."""
    return tuple(_cases())


def _cases() -> Iterator[Case]:
    for path in case_files():
        for group in read(path)["tests"]:
            for kind in (FIRES, SILENT):
                name, found, says = group["name"].partition(kind)
                if found:
                    yield Case(path, group, name, kind, says)


def tool(name: str) -> str:
    """Return the path of a tool of Debian's, or skip the test that needs it."""
    found = shutil.which(name)
    if found is None:
        packages = {"amtool": "prometheus-alertmanager", "promtool": "prometheus"}
        package = packages.get(name, name)
        pytest.skip(f"no {name}: apt-get install {package}")
    return found


def run(name: str, arguments: Sequence[str | Path]) -> tuple[int, str]:
    """Run a tool to its end; returns its exit code and all it said."""
    command = [tool(name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def durations(text: str) -> float:
    """Return a duration of Prometheus (`1m`, `1h30m`, `1d`) in seconds."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    return float(sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([smhd])", text)))


# --- what expressions ask for -------------------------------------------------------------------

_BY_NAME: Final = {metric.exposed: metric for metric in METRICS}
# Put there by Prometheus, by the file of targets, by histograms.
_ADDED: Final = {"job", "instance", "kind", "worker", "le"}


def family(name: str) -> Metric | None:
    """Return the metric that serves a series of this name."""
    ends = ("", "_bucket", "_count", "_sum", "_info")
    bare = (name.removesuffix(end) for end in ends)
    return next((_BY_NAME[one] for one in bare if one in _BY_NAME), None)


def impossible(expr: str) -> list[str]:
    """Return what an expression asks for and no process serves: labels, their values, buckets."""
    return [
        f"{selector.name}: {matcher}"
        for selector in _selectors(promql_parser.parse(expr))
        if (metric := family(selector.name or "")) is not None
        for matcher in selector.matchers.matchers
        if not _possible(metric, matcher)
    ]


def _possible(metric: Metric, matcher: Any) -> bool:
    """A label value that no list holds makes an alert that never fires."""
    labels = {label.name: label.values for label in metric.labels}
    if matcher.name == "le":
        return matcher.value == "+Inf" or float(matcher.value) in metric.buckets
    closed = labels.get(matcher.name)
    if closed is None or metric.kind == "info":
        return matcher.name in labels or matcher.name in _ADDED
    return set(matcher.value.split("|")) <= set(closed)


def _selectors(node: Any) -> list[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        return [node]
    parts = ("vector_selector", "expr", "lhs", "rhs", "param", "vs")
    children = [getattr(node, name, None) for name in parts]
    children += getattr(node, "args", None) or []
    return [
        found
        for child in children
        if child is not None and not isinstance(child, str | int | float | bool)
        for found in _selectors(child)
    ]
