"""What a dashboard is made of, and how Grafana writes it down.

Layout: 24 columns; rows in the order in which data flows. One question per panel, asked in its
description. The data source is a variable, so that a file fits any Grafana.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["timeseries", "stat", "table", "heatmap", "bargauge"]
Json = dict[str, Any]

_SOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 24
# the schema of Grafana 10; newer ones migrate it when they load it
_SCHEMA: Final = 39
_GREEN, _YELLOW, _RED = "green", "yellow", "red"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and what its series are called (``{{label}}`` is filled by Grafana)."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question and its answer.

    ``unit`` as Grafana names it (``s``, ``ops``, ``percentunit`` …). ``warn`` and ``bad`` are
    bounds in that unit, those of the alerts; ``falling``: below them is bad, not above.
    """

    title: str
    asks: str
    queries: Sequence[Query]
    unit: str
    kind: Kind = "timeseries"
    width: int = 12
    height: int = 8
    warn: float | None = None
    bad: float | None = None
    falling: bool = False
    decimals: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the head of a dashboard: the values of one label of one metric."""

    name: str
    label: str
    metric: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page."""

    uid: str
    title: str
    says: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()

    @property
    def panels(self) -> list[Panel]:
        """Return all panels in order."""
        return [panel for row in self.rows for panel in row.panels]

    def as_json(self) -> Json:
        """Return what Grafana provisions."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.says,
            "tags": ["rekindle"],
            "schemaVersion": _SCHEMA,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "annotations": {"list": _annotations()},
            "links": [_elsewhere()],
            "templating": {"list": [_datasource(), *map(_variable, self.variables)]},
            "panels": _placed(self.rows),
        }


# --- placing ------------------------------------------------------------------------------------


def _placed(rows: Sequence[Row]) -> list[Json]:
    """Return rows and panels with their places; a line of panels is as high as its highest."""
    placed: list[Json] = []
    top = 0
    for row in rows:
        heading = _heading(row, len(placed) + 1, top)
        placed.append(heading)
        top, left, highest = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left, highest = top + highest, 0, 0
            drawn = _panel(panel, len(placed) + 1)
            drawn["gridPos"] = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            placed.append(drawn)
            left, highest = left + panel.width, max(highest, panel.height)
        top += highest
    return placed


def _heading(row: Row, number: int, top: int) -> Json:
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": top},
    }


# --- one panel ----------------------------------------------------------------------------------


def _panel(panel: Panel, number: int) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.asks,
        "datasource": _SOURCE,
        "targets": [_target(query, at, panel) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        **_transformed(panel),
    }


def _target(query: Query, at: int, panel: Panel) -> Json:
    instant = panel.kind in ("stat", "table", "bargauge")
    return {
        "refId": chr(ord("A") + at),
        "datasource": _SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": instant,
        "range": not instant,
        "format": {"table": "table", "heatmap": "heatmap"}.get(panel.kind, "time_series"),
    }


def _defaults(panel: Panel) -> Json:
    found: Json = {"unit": panel.unit, "noValue": "no data", "thresholds": _thresholds(panel)}
    if panel.decimals is not None:
        found["decimals"] = panel.decimals
    if panel.kind == "stat":
        found["color"] = {"mode": "thresholds"}
    if panel.kind == "timeseries":
        bounded = panel.warn is not None or panel.bad is not None
        found["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 0,
            "showPoints": "never",
            "stacking": {"mode": "none"},
            "thresholdsStyle": {"mode": "line" if bounded else "off"},
        }
    return found


def _thresholds(panel: Panel) -> Json:
    """Return the colours: good first; where falling is bad, red stands at the bottom."""
    warn, bad = panel.warn, panel.bad
    if panel.falling:
        steps: list[Json] = [{"color": _RED if bad is not None else _YELLOW, "value": None}]
        if bad is not None and warn is not None:
            steps.append({"color": _YELLOW, "value": bad})
        top = warn if warn is not None else bad
        steps.append({"color": _GREEN, "value": top})
    else:
        steps = [{"color": _GREEN, "value": None}]
        steps += [
            {"color": colour, "value": value}
            for colour, value in ((_YELLOW, warn), (_RED, bad))
            if value is not None
        ]
    return {"mode": "absolute", "steps": steps}


def _options(panel: Panel) -> Json:
    last: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "stat":
        return {"reduceOptions": last, "colorMode": "background", "graphMode": "area"}
    if panel.kind == "bargauge":
        return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic"}
    if panel.kind == "timeseries":
        legend = {"showLegend": True, "displayMode": "list", "placement": "bottom"}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "heatmap":
        return {"calculate": False, "yAxis": {"unit": panel.unit}}
    return {"showHeader": True, "cellHeight": "sm"}


def _transformed(panel: Panel) -> Json:
    """Return how a table joins its queries and names its columns."""
    if panel.kind != "table":
        return {}
    organised = {
        "id": "organize",
        "options": {"excludeByName": {"Time": True}, "renameByName": dict(panel.names)},
    }
    return {"transformations": [{"id": "merge", "options": {}}, organised]}


# --- what every dashboard has --------------------------------------------------------------------


def _annotations() -> list[Json]:
    """Mark on every graph when settings changed and when somebody or something acted."""
    return [
        _annotation(
            "Settings applied",
            "blue",
            "max without (instance, worker) (changes(rekindle_settings_records_total[1m])) > 0",
        ),
        _annotation(
            "Paused, resumed or throttled",
            "orange",
            "sum by (action, actor) (increase(rekindle_controls_total[1m])) > 0",
        ),
    ]


def _annotation(name: str, colour: str, expr: str) -> Json:
    return {
        "name": name,
        "enable": True,
        "iconColor": colour,
        "datasource": _SOURCE,
        "expr": expr,
        "step": "60s",
        "titleFormat": name,
    }


def _elsewhere() -> Json:
    return {
        "title": "rekindle",
        "type": "dashboards",
        "tags": ["rekindle"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
    }


def _datasource() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }


def _variable(variable: Variable) -> Json:
    query = f"label_values({variable.metric}, {variable.name})"
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": variable.name},
        "definition": query,
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


__all__ = ["Dashboard", "Kind", "Panel", "Query", "Row", "Variable"]
