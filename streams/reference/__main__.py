"""`python -m streams.reference`: writes the pages and pictures that have changed and names them."""

import sys
from pathlib import Path

from engine.errors import Refused
from streams.reference.pages import pages


def main(docs: Path) -> int:
    """Write what has changed below ``docs``; returns the exit code."""
    try:
        found = pages(docs)
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    for path, text in sorted(found.items()):
        if not path.is_file() or path.read_text("utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            sys.stdout.write(f"written {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path("docs")))
