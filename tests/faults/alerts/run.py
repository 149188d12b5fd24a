"""Inject the faults of the alerts: ``python -m tests.faults.alerts.run [NAME ...]``.

Every trial that ends well is put on record; the index of the runbooks is written anew at the end.
"""

import sys
import time
import traceback

from engine.times import iso
from tests.faults.alerts.faults import FAULTS
from tests.faults.alerts.record import Fired, keep
from tests.faults.alerts.trial import Fault, tried
from tests.support import fired


def main(names: list[str]) -> int:
    """Try the named faults, or all; returns 1 where an alert did not come, or came too early."""
    unknown = set(names) - {fault.name for fault in FAULTS}
    if unknown:
        print(f"no such fault: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    failed = [
        fault.name for fault in FAULTS if (not names or fault.name in names) and not _try(fault)
    ]
    fired.write()
    print(f"failed: {', '.join(failed)}" if failed else "every alert asked for has fired")
    return 1 if failed else 0


def _try(fault: Fault) -> bool:
    began = iso(int(time.time() * 1000))
    try:
        seconds = tried(fault)
    except Exception as error:  # noqa: BLE001 - the next fault is tried all the same
        traceback.print_exc()
        print(f"{fault.name}: {error}", flush=True)
        return False
    told = ", ".join(f"{name} {after:.0f} s" for name, after in seconds.items())
    print(f"{fault.name}: {told}", flush=True)
    keep(Fired(fault.name, fault.says, began, seconds, fault.cuts))
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
