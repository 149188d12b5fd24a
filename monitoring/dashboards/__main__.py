"""Writes the dashboards to a folder: ``python -m monitoring.dashboards [FOLDER]``."""

import json
import sys
from pathlib import Path

from monitoring.dashboards.pages import DASHBOARDS

FOLDER = Path("ops/grafana/dashboards")


def files() -> dict[str, str]:
    """Return file name -> content."""
    return {
        f"{board.uid}.json": json.dumps(board.as_json(), indent=1, ensure_ascii=False) + "\n"
        for board in DASHBOARDS
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, "utf-8")
