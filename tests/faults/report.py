"""A fault run in words: a line per round, a summary, and the page that is kept in docs."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.faults.checker.findings import BROKEN, Findings
from tests.faults.trials import TRIALS
from tests.faults.world.plan import Plan

# What workers write when a lane was closed in doubt, by what it is counted as. A line that comes
# too often is written once with how many more there were.
_DOUBTS: Final = {
    "lanes_fenced": re.compile(
        rb"another worker owns it.*?(?:and (\d+) more like it)?\)?$", re.MULTILINE
    ),
    "lanes_stale": re.compile(
        rb"does not stand at.*?(?:and (\d+) more like it)?\)?$", re.MULTILINE
    ),
}


def doubts(logs: Iterable[Path]) -> Counter[str]:
    """Count closed lanes in the logs of workers."""
    found = Counter[str]()
    for log in logs:
        content = log.read_bytes()
        for name, words in _DOUBTS.items():
            found[name] += sum(1 + int(more or 0) for more in words.findall(content))
    return found


def line(number: int, of: int, plan: Plan, findings: Findings) -> str:
    """Return one round in one line."""
    told = findings.broken or "every promise kept"
    events, decisions, actions = (
        f"{findings.counts[name]:,} {name}" for name in ("events", "decisions", "actions")
    )
    return f"round {number} of {of}, seed {plan.seed}: {events}, {decisions}, {actions}: {told}"


def summary(told: Mapping[str, Any]) -> str:
    """Return the outcome in a few lines."""
    broken = ", ".join(f"{count} {BROKEN[name]}" for name, count in told["broken"].items())
    missed = ", ".join(told["mutants_missed"])
    harmed = f"{told['kills']:,} worker kills, {told['redis_kills']:,} kills or falls of Redis"
    noticed = f"{told['mutants_caught']} of {told['mutants']}"
    alive = ", ".join(label for label, times in told["deaths"].items() if not times)
    lines = [
        f"{harmed}, {told['events']:,} events",
        f"broken promises: {broken or 'none'}",
        f"left undone: {'; '.join(told['undrained']) or 'nothing'}",
        (
            f"doubled in the log: {told['doubled_in_log']:,}; left of them by the readers' rule:"
            f" {told['doubled_after_rule']:,}"
        ),
        f"broken workers noticed: {noticed}" + (f" (missed: {missed})" if missed else ""),
        f"labelled points at which nobody died: {alive or 'none'}",
    ]
    return "\n".join(lines)


def page(
    told: Mapping[str, Any], recoveries: Mapping[str, Sequence[float]], caught: Mapping[str, bool]
) -> str:
    """Return the page: date, figures, seeds, versions, how to repeat."""
    today = datetime.now(UTC).date().isoformat()
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    counts = told["counts"]
    bound = 300 / max(told["kills"], 1)
    parts = [
        "# What it survives\n",
        (f"Measured on {today}; {versions}. Written by `make faults-long`; repeat it with"
        f' `make faults-long ARGS="--seed {told["seed"]}"`.\n'),
        ("Three real workers on a real Kafka and a real Redis were harmed while shoppers went on"
        " buying. Then everything was healed and read, and what the load generator had sent was"
        " replayed by a checker that shares nothing with the way a worker commits.\n"),
        (f"**{told['kills']:,} worker kills, {told['redis_kills']:,} kills or fall-backs of Redis,"
        f" {told['events']:,} events, {counts.get('decisions', 0):,} decisions,"
        f" {counts.get('actions', 0):,} actions** in {told['seconds'] / 60:.0f} minutes.\n"),
        "## What was promised\n",
        _table(("promise broken by", "times"), [(BROKEN[n], counts.get(n, 0)) for n in BROKEN]),
        f"None in {told['kills']:,} kills bounds the chance per kill by {bound:.2f} % (95 %, the"
        " rule of three), for the faults named here and no others.\n"
        if not told["broken"]
        else "Promises were broken: this is a fault to be mended.\n",
        "## What is allowed, and counted\n",
        _table(("what", "times"), [(_WORDS[n], counts.get(n, 0)) for n in _WORDS]),
        ("Records doubled in the log carry the position of their cause in `x-pos`; whoever drops"
        " what is not above the last position sees each once.\n"),
        "## What was done to it\n",
        _table(("fault", "times"), sorted(told["faults"].items())),
        "Each `kill_at` waits until a worker is at a point of its work, and kills it there:\n",
        _table(("point", "workers that died there"), told["deaths"].items()),
        "## How long until it worked again\n",
        "Seconds, on two cores that also carried Kafka, Redis and the load.\n",
        _recoveries(recoveries),
        "## Who checks the checker\n",
        "Workers that lack one protection each; the count that must notice it stands beside.\n",
        _table(
            ("worker", "noticed by", "noticed"),
            [(f"`{n}`", _noticed_by(n),
              "yes" if was else "**no**") for n, was in caught.items()],
        ),
        f"Seeds {', '.join(map(str, told['seeds']))}.\n",
    ]  # fmt: skip
    return "\n".join(parts)


_WORDS: Final = {
    "events_repeated": "events that intake wrote again (left out by their source position)",
    "doubled_in_log": "decisions and actions doubled in the log (left out by readers)",
    "letters_repeated": "dead letters written again",
    "reports_repeated": "reports of a gateway written again",
    "calls_repeated": "hand-overs asked again of a gateway that keeps ids",
    "unknown": "hand-overs reported `unknown`: not asked again, the charge stays",
    "unknown_and_carried": "of these, carried all the same",
    "cancelled": "actions withdrawn before the hand-over",
    "expired": "actions too old for a hand-over",
    "failed": "hand-overs that the gateway failed",
    "lanes_fenced": "lanes closed because another worker owned them",
    "lanes_stale": "lanes closed because the store stood elsewhere",
}


def _noticed_by(mutant: str) -> str:
    notices = TRIALS[mutant].notices
    return BROKEN.get(notices, notices.replace("_", " "))


def _recoveries(recoveries: Mapping[str, Sequence[float]]) -> str:
    rows = []
    for kind, seconds in sorted(recoveries.items()):
        ordered = sorted(seconds)
        middle, most = ordered[len(ordered) // 2], ordered[-1]
        rows.append((kind, len(ordered), f"{middle:.1f}", f"{most:.1f}"))
    return _table(("after", "times", "median", "longest"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    def cell(value: Any) -> str:
        return f"{value:,}" if isinstance(value, int) else str(value)

    lines = [head, ["---"] * len(head), *[[cell(value) for value in row] for row in rows]]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines) + "\n"
