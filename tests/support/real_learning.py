"""What the shipped training code makes of public shops; measured here, asserted by tests.

Repeat purchase: the orders of a shop go through the real engine as a recorded run, with the
product's own commands: ``replay`` decides seven days after each order, ``train`` learns whether the
next one came within 30 days. Cart prefixes: a file of point-in-time vectors without absolute time,
hence cross-validated over visitors.
"""

import csv
import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from engine.events import Event, Record, SettingsRecord, Tick
from models.manifest import Manifest
from models.registry import Registry
from models.training.crossval import OutOfFold, cross_validate
from rules import templates
from streams.log import codec
from streams.replay.recording import ARTEFACTS, EVENTS, Recorder
from streams.sources import onlineretail, ticks
from tests.support import cdnow

DATA: Final = Path(os.environ.get("REKINDLE_TEST_DATA", "/work/shared/data"))
PREFIXES: Final = "retailrocket_cart_prefix_train.csv.gz"
SEED: Final = 1


class Shop(NamedTuple):
    """A public data set of orders, and how it is read."""

    file: str
    currency: str
    read: Callable[[Path], Iterator[Event]]


SHOPS: Final = {
    "onlineretail": Shop("uci_online_retail.csv.gz", onlineretail.CURRENCY, onlineretail.events),
    "cdnow": Shop("cdnow_master.txt.gz", cdnow.CURRENCY, cdnow.events),
}

# A dry run, because nobody in these files was ever written to; one campaign without caps and
# nights, so that everybody who may be written to is weighed at the same age of her order.
_CAMPAIGNS: Final = """
version = 1
app = "public data"
mode = "dry_run"
currency = "{currency}"
timezone = "UTC"
basket = 20.0

[quiet_hours]
from = "00:00"
to = "00:00"

[channel.email]
cost = 0.0
patience = 0.01
deliver_within = "12h"

[channel.push]
cost = 0.0
patience = 0.01
deliver_within = "12h"

[channel.sms]
cost = 0.0
patience = 0.01
deliver_within = "12h"

[[campaign]]
id = "day-7"
version = 1
status = "live"
trigger = "post_purchase_7d"
channels = ["email", "push", "sms"]
template = "post-purchase-7d"
margin = 0.3
conversion_window = "30d"
cooldown = "0s"
stale_after = "24h"
prior_order_rate = 0.30

[campaign.lift]
email = 1.05
push = 1.05
sms = 1.05
"""


def missing(file: str) -> str | None:
    """Return the sentence that says a data set is not here; None = it is."""
    if (DATA / file).is_file():
        return None
    return f"no {file}: set REKINDLE_TEST_DATA to the folder of public data"


# --- repeat purchase ------------------------------------------------------------------------------


def decided(name: str, folder: Path) -> None:
    """Make a recorded run of a shop in ``folder``: its log, its settings and its decisions."""
    shop = SHOPS[name]
    path = DATA / shop.file
    _record(folder, _CAMPAIGNS.format(currency=shop.currency).encode(), lambda: shop.read(path))
    decisions = folder / "decisions.jsonl"
    _rekindle("replay", str(folder), "--decisions", str(decisions), "--json")


def learned(folder: Path) -> Manifest:
    """Train on a recorded run by `rekindle train`, on its own slices of time."""
    models = folder / "models"
    options = ["--from", str(folder), "--provenance", "public", "--seed", str(SEED), "--json"]
    told = _rekindle("train", *options, REKINDLE_MODELS=str(models))
    return Registry(models).find(orjson.loads(told)["sha256"]).manifest


def _record(folder: Path, campaigns: bytes, read: Callable[[], Iterator[Event]]) -> None:
    """Write the log as a loader would have: settings first, then events and ticks."""
    words = templates.artefact()
    named = {content: sha256(content).hexdigest() for content in (campaigns, words)}
    settings = SettingsRecord(campaigns=named[campaigns], templates=named[words], origin="loader")
    with Recorder(folder) as recorder:
        for content, sha in named.items():
            recorder.record(ARTEFACTS, 0, 0, 0, sha.encode(), content)
        log: Iterator[Record] = ticks.with_ticks(read)
        recorder.record(EVENTS, 0, 0, 0, None, codec.write(settings))
        for offset, record in enumerate(log, 1):
            at = record.now if isinstance(record, Tick) else _arrival(record)
            recorder.record(EVENTS, 0, offset, at, codec.key(record), codec.write(record))


def _arrival(record: Record) -> int:
    assert not isinstance(record, Tick | SettingsRecord)
    return record.received_at


def _rekindle(*arguments: str, **environ: str) -> bytes:
    """Run a command of the product and return what it printed."""
    command = [sys.executable, "-m", "streams.cli", *arguments]
    environment: dict[str, Any] = {**os.environ, **environ}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout


# --- cart prefixes --------------------------------------------------------------------------------


def cart_prefixes() -> OutOfFold:
    """Predict every RetailRocket prefix by models that never saw its visitor, in five folds."""
    with closing(gzip.open(DATA / PREFIXES, "rt")) as file:
        header, *rows = csv.reader(file)
    names = header[3:-1]  # after session, visitor and cut-off; before the outcome
    vectors = np.array([[float(cell or "nan") for cell in row[3:-1]] for row in rows])
    converted = np.array([row[-1] == "1" for row in rows])
    visitors = [row[1] for row in rows]
    return cross_validate(vectors, converted, visitors, names=names, seed=SEED)
