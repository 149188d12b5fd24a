"""Reads PromQL as the tests need it: Grafana's variables filled in, and the metrics named."""

import re
from typing import Any

import promql_parser

# What Grafana would put in: an interval of four scrapes, and every value of a variable.
_VARIABLES = {
    "$__rate_interval": "1m",
    "$__interval": "15s",
    "$__range": "1h",
}


def filled(expr: str) -> str:
    """Return an expression of a dashboard as Grafana sends it with everything chosen."""
    for name, value in _VARIABLES.items():
        expr = expr.replace(name, value)
    return re.sub(r"\$\{?[a-z]+\}?", ".*", expr)


def metrics_of(expr: str) -> set[str]:
    """Return the names of all metrics an expression asks for; raises ValueError where it cannot."""
    names: set[str] = set()
    _walk(promql_parser.parse(expr), names)
    return names


def _walk(node: Any, names: set[str]) -> None:
    if isinstance(node, promql_parser.VectorSelector):
        if node.name:
            names.add(node.name)
        return
    for attribute in ("vector_selector", "expr", "lhs", "rhs", "param", "vs"):
        child = getattr(node, attribute, None)
        if child is not None and not isinstance(child, str | int | float | bool):
            _walk(child, names)
    for child in getattr(node, "args", None) or []:
        _walk(child, names)
