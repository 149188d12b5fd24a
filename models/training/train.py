"""From logged decisions and events to a model artefact, in the order it happens.

Labels, slices of time, fit, calibration, measurement on time never seen, manifest. Equal input
gives equal bytes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import lightgbm
import numpy as np

from engine.errors import Refused
from engine.events import Event
from models.booster import load
from models.calibration import Calibration
from models.features import CHANNEL_AT, NAMES, SCHEMA_HASH, channel_code
from models.manifest import (
    LIFETIME,
    Bin,
    Golden,
    Manifest,
    MeasuredLift,
    Metrics,
    Provenance,
    Window,
    checksum,
    pack,
)
from models.training import lifts
from models.training.calibrate import calibrate
from models.training.fit import Fitted, fewest, fit
from models.training.importance import importance
from models.training.labels import Flags, Floats, Labelled, label
from models.training.metrics import measure
from models.training.reliability import bins
from models.training.silence import log_odds, shifted, shifts
from models.training.split import Slices, by_time

# With 20 positives the standard error of an AUC of .65 is .07 (Hanley and McNeil): fewer cannot be
# told from a coin. Five of either outcome in the test slice are the least that gives an AUC at all.
LEAST_ROWS: Final = 100
LEAST_OUTCOMES: Final = 20
_LEAST_TESTED: Final = 5
# p0 is the chance of an order if nothing is sent: somebody must have been sent nothing.
LEAST_SILENT: Final = 20
_GOLDEN_ROWS: Final = 15
# What one trigger can know of an order ranks at .60 to .78 on public shops; figures above this were
# taken apart as a leak each time they were published (.995 for carts, .636 without the leak).
TOO_GOOD: Final = 0.9
OVERALL: Final = "all"
NOTHING_SENT: Final = "nothing_sent"


def train(
    decisions: Iterable[bytes],
    events: Iterable[Event],
    conversion_windows: Mapping[str, int],
    *,
    name: str,
    version: str,
    created_at: int,
    provenance: Provenance,
    seed: int,
    until: int | None = None,
    without: Collection[str] = (),
    assumed: Mapping[str, Mapping[str, float]] | None = None,
) -> bytes:
    """Return the artefact of a model trained on these decisions; both streams are read once.

    ``conversion_windows``: ms by campaign id, from the policy; ``created_at`` ms; ``until`` as in
    :func:`models.training.labels.label`; ``without``: features it is not shown;
    ``assumed``: odds ratios by campaign and channel, from the policy. A model that ranks
    too well to be honest is made all the same, so that one can look at it, and says so in
    ``blocked``. Raises Refused when there is too little to learn from.
    """
    hidden = _hidden(without)
    rows = label(decisions, events, conversion_windows, until=until, assumed=assumed or {})
    if not len(rows.at):
        raise Refused(_nothing(rows))
    if hidden:
        rows = _not_shown(rows, hidden)
    slices = by_time(rows.at, rows.window)
    kinds, warnings = _kinds(rows, slices)
    spoken_of = np.isin(rows.kind, [rows.kinds.index(kind) for kind in kinds])
    slices = Slices(slices.train & spoken_of, slices.calibrate & spoken_of, slices.test & spoken_of)
    _check_silence(rows, slices.train)
    fitted = fit(
        rows.vectors[slices.train],
        rows.converted[slices.train],
        names=list(NAMES),
        seed=seed,
        stop_by=(rows.vectors[slices.calibrate], rows.converted[slices.calibrate]),
    )
    raw, untold = fitted.raw(rows.vectors), fitted.raw(_if_silent(rows.vectors))
    served = _served(rows, slices, kinds, raw, untold)
    tested = _tested(rows, slices, kinds, fitted, raw, untold, served, seed)
    manifest = Manifest(
        name=name,
        version=version,
        created_at=created_at,
        expires_at=created_at + LIFETIME,
        provenance=provenance,
        lightgbm_version=lightgbm.__version__,
        features=list(NAMES),
        schema_hash=SCHEMA_HASH,
        checksum=checksum(fitted.text),
        window=Window(
            first=int(rows.at[0]),
            last=int(rows.at[-1]),
            until=rows.until,
            unseen_from=int(rows.at[slices.test].min()),
        ),
        rows=_counts(slices),
        left_out=_left_out(rows, spoken_of, slices),
        positives={
            kind: int(np.count_nonzero(rows.converted & _of(rows, kind))) for kind in rows.kinds
        },
        trigger_kinds=kinds,
        calibration=served.calibration,
        metrics=tested.metrics,
        warnings=warnings + served.unmeasured,
        blocked=_too_good(tested.metrics, tested.importance),
        without=[NAMES[place] for place in hidden],
        mean_order=rows.mean_order,
        currency=rows.currency,
        params=fitted.params,
        rounds=fitted.rounds,
        seed=seed,
        golden=_golden(fitted, rows.vectors[slices.train]),
        reliability=tested.reliability,
        importance=tested.importance,
        lifts=served.lifts,
        silence={kind: shift for kind, shift in served.silence.items() if shift},
    )
    return pack(manifest, fitted.text)


@dataclass(frozen=True, slots=True)
class _Served:
    """What is served beside the trees; ``heard`` is ``calibration`` before its silence shift."""

    heard: dict[str, Calibration]
    calibration: dict[str, Calibration]
    silence: dict[str, float]
    lifts: dict[str, dict[str, MeasuredLift]]
    unmeasured: list[str]


def _served(
    rows: Labelled, slices: Slices, kinds: list[str], raw: Floats, untold: Floats
) -> _Served:
    """Calibrate per kind, correct for silence, measure what messages do.

    ``raw``: scores of the rows as they were; ``untold``: as if nothing had been sent.
    """
    heard = {
        kind: calibrate(raw[at], rows.converted[at])
        for kind, at in _per_kind(rows, kinds, slices.calibrate).items()
    }
    foretold = log_odds(rows, untold, heard)
    silence = shifts(rows, slices.train | slices.calibrate, kinds, foretold)
    calibration = {kind: shifted(ours, silence[kind]) for kind, ours in heard.items()}
    return _Served(heard, calibration, silence, *lifts.measure(rows, kinds, foretold))


@dataclass(frozen=True, slots=True)
class _Tested:
    """What the test slice says: days the model has not seen."""

    metrics: dict[str, Metrics]
    reliability: dict[str, list[Bin]]
    importance: dict[str, dict[str, float]]


def _tested(
    rows: Labelled,
    slices: Slices,
    kinds: list[str],
    fitted: Fitted,
    raw: Floats,
    untold: Floats,
    served: _Served,
    seed: int,
) -> _Tested:
    groups = _per_kind(rows, kinds, slices.test)
    predicted = _predicted(raw, served.heard, groups)
    metrics = {
        slice_: measure(rows.converted[ours], predicted[ours], rows.user[ours], seed=seed)
        for slice_, ours in {OVERALL: slices.test, **groups}.items()
    }
    still = slices.test & ~rows.sent
    if still.any():
        said = _predicted(untold, served.calibration, _per_kind(rows, kinds, still))[still]
        metrics[NOTHING_SENT] = measure(rows.converted[still], said, rows.user[still], seed=seed)
    return _Tested(
        metrics,
        {kind: bins(rows.converted[ours], predicted[ours]) for kind, ours in groups.items()},
        {kind: importance(fitted, rows.vectors[ours], NAMES) for kind, ours in groups.items()},
    )


# --- what can be learned ------------------------------------------------------------------------


def _kinds(rows: Labelled, slices: Slices) -> tuple[list[str], list[str]]:
    """Return the trigger kinds there is enough to learn of, and a sentence for each other one."""
    enough, warnings = [], []
    for kind in sorted(rows.kinds):
        ours = _of(rows, kind)
        learned, tested = rows.converted[slices.train & ours], rows.converted[slices.test & ours]
        if len(learned) < LEAST_ROWS or fewest(learned) < LEAST_OUTCOMES:
            warnings.append(
                f"{kind} keeps the prior: {len(learned)} rows to learn from, "
                f"{fewest(learned)} of the rarer outcome "
                f"(at least {LEAST_ROWS} and {LEAST_OUTCOMES})."
            )
        elif fewest(tested) < _LEAST_TESTED:
            warnings.append(
                f"{kind} keeps the prior: it could not be measured, with {fewest(tested)} of the "
                f"rarer outcome in the test slice (at least {_LEAST_TESTED})."
            )
        else:
            enough.append(kind)
    if not enough:
        raise Refused(
            f"There is too little to learn from: {' '.join(warnings)} "
            "Collect more decisions with closed windows and train again."
        )
    return enough, warnings


def _nothing(rows: Labelled) -> str:
    reasons = ", ".join(f"{reason} {n}" for reason, n in rows.left_out.items()) or "no decisions"
    return (
        f"There is nothing to learn from (left out: {reasons}): "
        "train when conversion windows of weighed decisions have closed."
    )


def _check_silence(rows: Labelled, learned: Flags) -> None:
    silent = int(np.count_nonzero(learned & ~rows.sent))
    if silent < LEAST_SILENT:
        raise Refused(
            f"Nothing was sent in only {silent} of the rows to learn from (at least "
            f"{LEAST_SILENT}): what happens without a message cannot be known, so give holdout or "
            "exploration a share."
        )


def _hidden(without: Collection[str]) -> list[int]:
    """Return the places of the features not to be shown; raises Refused for an unknown name."""
    unknown = sorted(set(without) - set(NAMES))
    if unknown:
        raise Refused(
            f"There is no feature {', '.join(unknown)}: the features are {', '.join(NAMES)}."
        )
    return sorted(NAMES.index(name) for name in set(without))


def _not_shown(rows: Labelled, hidden: list[int]) -> Labelled:
    """Return the rows with these columns empty: a column without a value is never split on."""
    vectors = rows.vectors.copy()
    vectors[:, hidden] = np.nan
    return replace(rows, vectors=vectors)


def _too_good(
    metrics: Mapping[str, Metrics], weights: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Return a sentence per trigger kind that ranks as only a leak does, with the first suspect.

    ``weights``: importance by kind, the largest first. Kinds, not the whole: kinds with far
    different rates of orders may honestly rank high together.
    """
    blocked = []
    for kind, ours in weights.items():
        found = metrics[kind].auc
        if found is None or found.estimate <= TOO_GOOD:
            continue
        suspect = next(iter(ours))
        blocked.append(
            f"{kind} has an AUC of {found.estimate:.3f} on the test slice, and above "
            f"{TOO_GOOD:.2f} a feature knows the outcome; it leans most on {suspect}: mend where "
            f"that comes from, or train again with --without {suspect}."
        )
    return blocked


# --- measuring and recording --------------------------------------------------------------------


def _of(rows: Labelled, kind: str) -> Flags:
    return np.asarray(rows.kind == rows.kinds.index(kind))


def _per_kind(rows: Labelled, kinds: list[str], slice_: Flags) -> dict[str, Flags]:
    return {kind: slice_ & _of(rows, kind) for kind in kinds}


def _predicted(
    raw: Floats, calibration: Mapping[str, Calibration], groups: Mapping[str, Flags]
) -> Floats:
    """Return the calibrated probabilities, NaN outside the groups (by kind)."""
    predicted = np.full(len(raw), np.nan)
    for kind, ours in groups.items():
        predicted[ours] = [calibration[kind].probability(score) for score in raw[ours].tolist()]
    return predicted


def _if_silent(vectors: Floats) -> Floats:
    """Return the vectors as if nothing had been sent, which is how they are served."""
    silent = vectors.copy()
    silent[:, CHANNEL_AT] = channel_code(None)
    return silent


def _counts(slices: Slices) -> dict[str, int]:
    named = {"train": slices.train, "calibrate": slices.calibrate, "test": slices.test}
    return {name: int(np.count_nonzero(rows)) for name, rows in named.items()}


def _left_out(rows: Labelled, spoken_of: Flags, slices: Slices) -> dict[str, int]:
    """Add to the decisions left out those that lost their place afterwards."""
    placed = slices.train | slices.calibrate | slices.test
    later = {
        "kind_too_rare": int(np.count_nonzero(~spoken_of)),
        "window_over_a_cut": int(np.count_nonzero(spoken_of & ~placed)),
    }
    return {**rows.left_out, **{reason: n for reason, n in later.items() if n}}


def _golden(fitted: Fitted, vectors: Floats) -> list[Golden]:
    """Return rows mixed from the quantiles of each column and one with everything missing.

    Mixed, because an artefact travels and must not carry what one person did.
    """
    row = load(fitted.text, len(NAMES))
    columns = [_quantiles(vectors[:, place], turn=4 * place) for place in range(len(NAMES))]
    chosen = [*np.column_stack(columns).tolist(), [np.nan] * len(NAMES)]
    return [
        Golden([None if np.isnan(value) else value for value in values], row.raw(values))
        for values in chosen
    ]


def _quantiles(column: Floats, *, turn: int) -> Floats:
    """Return spread values of a column, turned so that columns do not rise together."""
    known = np.sort(column[~np.isnan(column)])
    if not len(known):
        return np.full(_GOLDEN_ROWS, np.nan)
    places = np.linspace(0, len(known) - 1, _GOLDEN_ROWS).astype(int)
    return np.roll(known[places], turn)
