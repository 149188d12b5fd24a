"""A model as large as the product ever trains one, learnt from drawn lots: for measuring speed.

It knows no people and says so: it is refused where simulated models are.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import lightgbm
import numpy as np

from engine.times import DAY
from models.booster import load
from models.features import NAMES, SCHEMA_HASH
from models.manifest import Golden, Manifest, Window, checksum, pack
from models.training.fit import fit

_SEED: Final = 7
_SHARE: Final = 0.2
_LOTS: Final = 2**32
# A measurement is repeated for years.
_LIFETIME: Final = 10_000 * DAY


def from_lots(
    vectors: Sequence[Sequence[float]], kinds: Sequence[str], *, created_at: int
) -> bytes:
    """Return an artefact fitted on ``vectors`` (of :mod:`models.features`) and one lot each.

    Told to stop by what it learns from, it never stops early. ``kinds``: triggers it speaks about.
    """
    rows = np.array(vectors, dtype=np.float64)
    bought = np.array([_lot(row.tobytes()) < _SHARE for row in rows])
    fitted = fit(rows, bought, names=list(NAMES), seed=_SEED, stop_by=(rows, bought))
    nothing_known = load(fitted.text, len(NAMES)).raw([np.nan] * len(NAMES))
    manifest = Manifest(
        name="lots",
        version="v1",
        created_at=created_at,
        expires_at=created_at + _LIFETIME,
        provenance="simulator",
        lightgbm_version=lightgbm.__version__,
        features=list(NAMES),
        schema_hash=SCHEMA_HASH,
        checksum=checksum(fitted.text),
        window=Window(first=created_at, last=created_at, until=created_at),
        rows={"train": len(rows)},
        left_out={},
        positives={},
        trigger_kinds=list(kinds),
        calibration={},
        metrics={},
        warnings=["learnt from drawn lots: it knows no people"],
        mean_order=None,
        currency="CNY",
        params=fitted.params,
        rounds=fitted.rounds,
        seed=_SEED,
        golden=[Golden([None] * len(NAMES), nothing_known)],
    )
    return pack(manifest, fitted.text)


def _lot(row: bytes) -> float:
    return int.from_bytes(blake2b(row, digest_size=4).digest(), "big") / _LOTS


__all__ = ["from_lots"]
