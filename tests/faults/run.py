"""Carries fault runs out, checks them, and says what came of it: ``python -m tests.faults.run``.

Without options: a run of two minutes, and every broken worker once. ``--long``: the whole, in
rounds, with a report. Exit code 1 when a promise was broken or a broken worker was not noticed, and
after the whole also when no worker died at one of the labelled points.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import click

from tests.faults import report
from tests.faults.checker.check import check
from tests.faults.checker.findings import Findings
from tests.faults.trials import TRIALS, long_rounds, plain
from tests.faults.world.launcher import LABELS
from tests.faults.world.plan import Plan, Ran
from tests.faults.world.run import running

# Broken workers tried at a time: mostly they wait for their reminders to become due.
_AT_ONCE: Final = 3
# Seeds a broken worker may need.
_TRIES: Final = 3


@dataclass
class Outcome:
    """What one or more runs came to; ``recoveries``: seconds by kind of fault.

    ``deaths``: of workers, by the labelled point they died at.
    """

    findings: Findings = field(default_factory=Findings)
    faults: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    seconds: float = 0.0
    undrained: list[str] = field(default_factory=list)

    def add(self, ran: Ran, findings: Findings) -> None:
        """Take one more run."""
        self.findings.add(findings)
        for fault in ran.faults:
            self.faults[fault.kind] += fault.detail.get("workers", 1)
        self.deaths.update(ran.deaths)
        for recovery in ran.recoveries:
            kind = f"{recovery.kind}, {recovery.what}"
            self.recoveries.setdefault(kind, []).append(recovery.seconds)
        self.versions |= ran.versions
        self.seeds.append(ran.plan.seed)
        self.seconds += (ran.ended - ran.began) / 1000
        if ran.drained is not None:
            self.undrained.append(f"seed {ran.plan.seed}: {ran.drained}")

    @property
    def kills(self) -> int:
        """Return how many workers were killed with -9, in whatever way."""
        return sum(self.faults[kind] for kind in ("kill", "kill_at", "replace"))

    @property
    def redis_kills(self) -> int:
        """Return how often Redis was killed or put back."""
        return self.faults["redis_kill"] + self.faults["redis_back"]

    @property
    def unreached(self) -> list[str]:
        """Return the labelled points at which no worker ever died."""
        return [label for label in LABELS if not self.deaths[label]]

    @property
    def kept(self) -> bool:
        """Return whether every promise was kept, and everything came to rest."""
        return not self.findings.broken and not self.undrained

    def told(self, caught: dict[str, bool]) -> dict[str, Any]:
        """Return it as the one JSON object."""
        counts = self.findings.counts
        return {
            "kills": self.kills,
            "redis_kills": self.redis_kills,
            "events": counts["events"],
            "lost": sum(counts[n] for n in ("sent_not_kept", "events_lost", "outputs_lost")),
            "doubled_in_log": counts["doubled_in_log"],
            "doubled_after_rule": counts["doubled_after_rule"],
            "doubled_at_gateway": counts["doubled_at_gateway"],
            "cap_violations": counts["cap_violations"],
            "profiles_differing": counts["profiles_differing"],
            "mutants": len(caught),
            "mutants_caught": sum(caught.values()),
            "mutants_missed": [name for name, was in caught.items() if not was],
            "broken": self.findings.broken,
            "undrained": self.undrained,
            "counts": dict(sorted(counts.items())),
            "faults": dict(sorted(self.faults.items())),
            "deaths": {label: self.deaths[label] for label in LABELS},
            "seconds": round(self.seconds, 1),
            "seed": self.seeds[0] if self.seeds else None,
            "seeds": self.seeds,
            "versions": self.versions,
        }


def one(plan: Plan, outcome: Outcome, directory: Path | None = None) -> Findings:
    """Carry one run out, check it, and add it to the outcome."""
    with running(plan, directory) as ran:
        began = time.process_time()
        findings = check(ran)
        findings.tell("checker_cpu_ms", int(1000 * (time.process_time() - began)))
        findings.counts.update(report.doubts(ran.logs))
        outcome.add(ran, findings)
    return findings


def try_mutants(names: tuple[str, ...]) -> dict[str, bool]:
    """Run broken workers, each in a world of its own; returns which were noticed, and rightly."""
    if len(names) == 1:
        return {names[0]: _try(names[0])}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(names, pool.map(_apart, names), strict=True))


def _try(name: str) -> bool:
    """Run a broken worker until it is noticed: which crash exposes it is chance on real parts."""
    trial = TRIALS[name]
    for seed in range(trial.plan.seed, trial.plan.seed + _TRIES):
        findings = one(replace(trial.plan, seed=seed), Outcome())
        told = f"{trial.notices} {findings.counts[trial.notices]}"
        click.echo(f"{name}, seed {seed}: {told}; broken: {findings.broken}", err=True)
        if trial.caught(findings):
            return True
    return False


def _apart(name: str) -> bool:
    """Try one in a process of its own: a world has the whole process to itself."""
    command = [sys.executable, "-m", "tests.faults.run", "--seconds", "0", "--mutants", name]
    ran = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if not ran.stdout.strip():
        message = f"the run of {name} failed with {ran.returncode}"
        raise RuntimeError(message)
    return bool(json.loads(ran.stdout.splitlines()[-1])["mutants_caught"])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="one JSON object as the last line")
@click.option("--seed", default=1, show_default=True)
@click.option("--seconds", default=120.0, show_default=True, help="of load, in the plain run")
@click.option("--mutants", default="all", show_default=True, help="all, none, or names by comma")
@click.option("--long", "is_long", is_flag=True, help="the whole, in rounds, with a report")
@click.option("--kills", default=1_000, show_default=True, help="long: of workers")
@click.option("--redis-falls", default=100, show_default=True, help="long: kills and fall-backs")
@click.option("--events", default=2_100_000, show_default=True, help="long: sent")
@click.option("--minutes", default=34.0, show_default=True, help="long: about so long")
@click.option("--rate", default=1_450.0, show_default=True, help="long: events per second")
@click.option("--report", "to", type=click.Path(path_type=Path), help="where the report goes")
@click.option("--keep", type=click.Path(path_type=Path), help="keep what the plain run left")
def main(
    *,
    as_json: bool,
    seed: int,
    seconds: float,
    mutants: str,
    is_long: bool,
    kills: int,
    redis_falls: int,
    events: int,
    minutes: float,
    rate: float,
    to: Path | None,
    keep: Path | None,
) -> None:
    """Break it, mend it, and count."""
    outcome = Outcome()
    plans = (
        long_rounds(seed, kills, redis_falls, events, minutes, rate)
        if is_long
        else [plain(seed, seconds)]
        if seconds
        else []
    )
    for number, plan in enumerate(plans, 1):
        findings = one(plan, outcome, keep)
        click.echo(report.line(number, len(plans), plan, findings), err=True)
        for name, cases in findings.cases.items():
            click.echo(f"  {name}: {'; '.join(cases[:3])}", err=True)
    names = {"all": tuple(TRIALS), "none": ()}.get(mutants, tuple(mutants.split(",")))
    caught = try_mutants(names)
    if to is not None:
        to.write_text(report.page(outcome.told(caught), outcome.recoveries, caught), "utf-8")
    told = outcome.told(caught)
    click.echo(json.dumps(told) if as_json else report.summary(told))
    if not outcome.kept or not all(caught.values()) or (is_long and outcome.unreached):
        sys.exit(1)


if __name__ == "__main__":
    main()
