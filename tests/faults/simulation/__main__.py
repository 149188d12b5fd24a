"""``python -m tests.faults.simulation --seeds N``: runs many seeds and says what came of them."""

import argparse
import json
import sys

from tests.faults.simulation.harms import HARMS
from tests.faults.simulation.running import Total, crash_points, many, turns_of_the_first


def main() -> int:
    """Run what was asked for; 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--mutant", help="run with a broken protocol, see mutants.py")
    parser.add_argument(
        "--harm",
        choices=("none", "each", *HARMS),
        default="none",
        help="what an operator must mend strikes as well; each: one after the other",
    )
    parser.add_argument("--kill", type=int, help="the small shop, killed after so many turns")
    parser.add_argument("--zombie", type=int, help="the small shop, replaced after so many turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--points", metavar="KIND", choices=("kill", "zombie"), help="all of them")
    asked = parser.parse_args()
    if asked.kill is not None:
        total = crash_points("kill", asked.kill, asked.kill + 1)
    elif asked.zombie is not None:
        total = crash_points("zombie", asked.zombie, asked.zombie + 1)
    elif asked.points is not None:
        total = crash_points(asked.points, 1, turns_of_the_first())
    else:
        harms = {"none": ("",), "each": HARMS}.get(asked.harm, (asked.harm,))
        total = many(range(asked.first, asked.first + asked.seeds), asked.mutant, harms)
    _tell(total, as_json=asked.json)
    return 1 if total.wrong else 0


def _tell(total: Total, *, as_json: bool) -> None:
    if as_json:
        figures = {"counts": total.counts, "cpu_s": total.cpu, "wall_s": total.wall}
        print(json.dumps(figures | {"wrong": total.wrong}))
        return
    for name, count in sorted(total.counts.items()):
        print(f"{count:>12,}  {name}")
    runs = total.counts["runs"]
    print(f"{total.cpu / max(1, runs):>12.3f}  s of CPU per run")
    print(f"{runs / max(total.cpu, 1e-9):>12.2f}  runs per second of CPU")
    print(f"{runs / max(total.wall, 1e-9):>12.2f}  runs per second on the clock")
    for name, wrong in total.wrong.items():
        print(f"\nFAILED: python -m tests.faults.simulation {name}")
        for kind, told in wrong:
            print(f"  {kind}: {told}")
    print(f"\n{total.counts['runs']} runs, {len(total.wrong)} of them wrong")


if __name__ == "__main__":
    sys.exit(main())
