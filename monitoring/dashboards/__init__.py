"""The eight Grafana dashboards as code: pages of panels, written as the JSON Grafana provisions.

``python -m monitoring.dashboards`` writes ops/grafana/dashboards/; a test holds the files to the
code, every expression to the grammar and every metric to :mod:`monitoring.metrics`.
"""

from monitoring.dashboards.pages import DASHBOARDS

__all__ = ["DASHBOARDS"]
