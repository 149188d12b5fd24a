"""Says how likely an order is if nothing is sent; falls back to the prior, never to "send anyway".

An artefact is checked once, when it is built into a scorer; a row is scored in microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from math import isfinite, nan
from typing import Final

from engine.errors import Refused
from engine.ports import Case, ModelRef, Score, Scorer
from engine.triggers import LocalTime
from models.booster import BoosterError, Row, load
from models.calibration import Calibration
from models.fallback import PriorScorer, prior
from models.features import NAMES, SCHEMA_HASH, as_dict, vector
from models.manifest import Artefact, Golden, Manifest, Provenance, checksum, expired, unpack

# A larger model does not score better here and costs latency.
MAX_TREES: Final = 500
MAX_BYTES: Final = 8 * 1024 * 1024
_GOLDEN_TOLERANCE: Final = 1e-12


def build(
    artefact: bytes | None,
    *,
    allow_simulated: bool,
    local: LocalTime,
    today: int | None = None,
) -> Scorer:
    """Return the scorer of an artefact, or the prior's when there is none.

    Raises Refused, with one sentence, for an artefact that must not be used. ``today`` (ms) checks
    its expiry and is for ``apply`` and ``models show`` only: the step must not read a clock, so a
    model already in force goes on when it expires, and monitoring says so.
    """
    if artefact is None:
        return PriorScorer(local)
    read = unpack(artefact)
    manifest = read.manifest
    _check(read, allow_simulated=allow_simulated, today=today)
    try:
        row = load(read.model, len(NAMES))
    except BoosterError as error:
        raise Refused(f"{_named(manifest)} cannot be loaded ({error}): train it again.") from error
    _check_golden(manifest, row)
    return ModelScorer(
        row=row,
        ref=ModelRef(manifest.name, manifest.version),
        provenance=manifest.provenance,
        calibration={k: manifest.calibration.get(k, Calibration()) for k in manifest.trigger_kinds},
        mean_order=manifest.mean_order,
        local=local,
        lifts=_lifts(manifest),
        trained_at=manifest.created_at,
    )


@dataclass(frozen=True, slots=True)
class ModelScorer:
    """A model in force. ``calibration`` by trigger kind it speaks about; others keep the prior.

    ``lifts``: odds ratio by trigger kind and channel; what is not there keeps the assumption.
    ``trained_at`` in ms.
    """

    row: Row
    ref: ModelRef
    provenance: Provenance
    calibration: Mapping[str, Calibration]
    mean_order: float | None
    local: LocalTime
    lifts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    trained_at: int = 0

    def score(self, case: Case) -> Score:
        """Return the probability of an order within the conversion window if nothing is sent."""
        values = None
        try:
            values = vector(case, None, self.local)
            calibration = self.calibration.get(case.trigger.kind)
            if calibration is None:
                return prior(case, values, mean_order=self.mean_order)
            raw = self.row.raw(values)
            p0 = calibration.probability(raw) if isfinite(raw) else nan
        except Exception:  # noqa: BLE001 - the port never raises; `failed` is counted by the step
            return prior(case, values, mean_order=self.mean_order, failed=True)
        if not isfinite(p0):
            return prior(case, values, mean_order=self.mean_order, failed=True)
        return Score(
            p0=p0,
            features=as_dict(values),
            schema_hash=SCHEMA_HASH,
            model=self.ref,
            lifts=self.lifts.get(case.trigger.kind, {}),
            mean_order=self.mean_order,
        )


def _lifts(manifest: Manifest) -> dict[str, dict[str, float]]:
    return {
        kind: {channel: lift.odds_ratio for channel, lift in by_channel.items()}
        for kind, by_channel in manifest.lifts.items()
    }


# --- what is refused ----------------------------------------------------------------------------


def _named(manifest: Manifest) -> str:
    return f"Model {manifest.name}/{manifest.version}"


def _check(artefact: Artefact, *, allow_simulated: bool, today: int | None) -> None:
    """Refuse what must not be loaded; from the cheapest to the dearest check."""
    manifest, model = artefact.manifest, artefact.model
    _check_size(manifest, model)
    if checksum(model) != manifest.checksum:
        raise Refused(
            f"{_named(manifest)} does not match the checksum of its manifest: "
            "fetch it again from where it was trained."
        )
    if manifest.schema_hash != SCHEMA_HASH:
        raise Refused(
            f"{_named(manifest)} was trained on other features (schema "
            f"{manifest.schema_hash[:12]}, this program makes {SCHEMA_HASH[:12]}): train it again."
        )
    if manifest.provenance == "simulator" and not allow_simulated:
        raise Refused(
            f"{_named(manifest)} learned from a simulated shop and knows nothing of yours: train "
            "one on your decisions, or set allow_simulated_model = true in the campaigns file."
        )
    if manifest.blocked:
        raise Refused(f"{_named(manifest)} is blocked: {' '.join(manifest.blocked)}")
    _check_lightgbm(manifest)
    if today is not None and (sentence := expired(manifest, today)) is not None:
        raise Refused(sentence)


def _check_size(manifest: Manifest, model: str) -> None:
    size = len(model.encode())
    if size > MAX_BYTES:
        raise Refused(
            f"{_named(manifest)} has {size} bytes, more than {MAX_BYTES}: "
            "train it with fewer rounds or leaves."
        )
    trees = model.count("\nTree=")
    if trees > MAX_TREES:
        raise Refused(
            f"{_named(manifest)} has {trees} trees, more than {MAX_TREES}: "
            "train it with fewer rounds."
        )


def _check_lightgbm(manifest: Manifest) -> None:
    here = version("lightgbm")
    wrote, installed = _major(manifest.lightgbm_version), _major(here)
    if wrote is None or installed is None or wrote > installed:
        raise Refused(
            f"{_named(manifest)} was written by LightGBM {manifest.lightgbm_version}, installed is "
            f"{here}: install that major version, or train it again."
        )


def _major(version: str) -> int | None:
    first = version.split(".", 1)[0]
    return int(first) if first.isdecimal() else None


def _check_golden(manifest: Manifest, row: Row) -> None:
    """Refuse a model that scores here otherwise than where it was made."""
    if not manifest.golden:
        raise Refused(f"{_named(manifest)} has no golden rows to prove itself by: train it again.")
    for number, golden in enumerate(manifest.golden):
        raw = _golden_raw(manifest, row, golden)
        if not abs(raw - golden.raw) <= _GOLDEN_TOLERANCE:
            raise Refused(
                f"{_named(manifest)} gives {raw!r} for golden row {number}, its manifest says "
                f"{golden.raw!r}: train it again with the LightGBM installed here."
            )


def _golden_raw(manifest: Manifest, row: Row, golden: Golden) -> float:
    try:
        return row.raw([nan if value is None else value for value in golden.row])
    except BoosterError as error:
        raise Refused(
            f"{_named(manifest)} does not take its golden rows ({error}): train it again."
        ) from error
