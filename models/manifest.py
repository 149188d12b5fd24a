"""What a model says about itself, and the artefact that carries both.

An artefact is canonical JSON ``{"manifest": {...}, "model": "<LightGBM text>", "v": 1}``: equal
models have equal bytes, and the sha256 of these bytes is the artefact's name. Times are ms, UTC.
"""

from hashlib import sha256
from typing import Final, Literal

import msgspec
from msgspec import Struct

from engine.errors import Refused
from engine.times import DAY
from models.calibration import Calibration

VERSION: Final = 1
# Behaviour changes with the season: after two months a model is measured anew, or retired.
LIFETIME: Final = 60 * DAY

Provenance = Literal["real", "simulator", "public"]


class Interval(Struct, frozen=True, array_like=True):
    """An estimate with its 95 % interval, by bootstrap over users."""

    estimate: float
    low: float
    high: float


class Metrics(Struct, frozen=True, kw_only=True):
    """How the model did on the test slice: the newest fifth of the time, never seen in training.

    "all" and each trigger kind: every row, the model being told what was really sent;
    "nothing_sent": the rows without a message, by the probabilities that are served.
    ``ece10``: expected calibration error over ten bins of equal mass. Figures are None where the
    slice does not hold both outcomes.
    """

    rows: int
    positives: int
    users: int
    base_rate: Interval | None = None
    mean_predicted: float | None = None
    auc: Interval | None = None
    average_precision: Interval | None = None
    log_loss: Interval | None = None
    ece10: Interval | None = None


class Bin(Struct, frozen=True, array_like=True):
    """Rows of the test slice that were given similar chances: what was said, what happened."""

    rows: int
    positives: int
    mean_predicted: float


class MeasuredLift(Struct, frozen=True, kw_only=True):
    """What a message did, as odds with it to odds without it, from decisions left to chance.

    ``odds_ratio`` is served: the ``estimate`` drawn towards ``prior``, what the campaign assumed,
    as far as rows are few. ``low`` and ``high``: 95 % interval of the estimate, robust to people
    with many rows; ``treated`` and ``untreated`` rows, where both were possible.
    """

    odds_ratio: float
    estimate: float
    low: float
    high: float
    prior: float
    treated: int
    untreated: int


class Golden(Struct, frozen=True, array_like=True):
    """A vector (None = missing) and the raw score the model gave where it was made."""

    row: list[float | None]
    raw: float


class Window(Struct, frozen=True, kw_only=True):
    """The time a model learned from: first and last decision, and how far the events reach.

    ``unseen_from``: decisions from here on it never saw while it learned; None = not recorded.
    """

    first: int
    last: int
    until: int
    unseen_from: int | None = None


class Manifest(Struct, frozen=True, kw_only=True):
    """Everything a reader must know before trusting a model; the scorer checks what it can.

    ``trigger_kinds``: those the model speaks about; others keep the prior. ``rows``: used, by
    slice; ``left_out``: decisions not used, by reason; ``positives`` per trigger kind, over all
    slices; ``mean_order`` in ``currency``, None = too few orders to tell. ``blocked``: sentences,
    each a reason why the model must not be put in force; ``without``: features it was not shown.
    ``reliability``: at most ten bins of equal mass of the test slice, by trigger kind;
    ``importance``: mean absolute contribution to the log-odds there, of the ten largest features,
    by trigger kind. ``lifts``: by trigger kind and channel, as measured; others keep what the
    campaign assumes. ``silence``: by trigger kind, what was added to the log-odds because nothing
    was sent, and is within ``calibration``. What has a default came later than the first
    artefacts, which still load.
    """

    v: int = VERSION
    name: str
    version: str
    created_at: int
    expires_at: int
    provenance: Provenance
    lightgbm_version: str
    features: list[str]
    schema_hash: str
    checksum: str
    window: Window
    rows: dict[str, int]
    left_out: dict[str, int]
    positives: dict[str, int]
    trigger_kinds: list[str]
    calibration: dict[str, Calibration]
    metrics: dict[str, Metrics]
    warnings: list[str]
    blocked: list[str] = []
    without: list[str] = []
    mean_order: float | None
    currency: str
    params: dict[str, float | int | bool | str]
    rounds: int
    seed: int
    golden: list[Golden]
    reliability: dict[str, list[Bin]] = {}
    importance: dict[str, dict[str, float]] = {}
    lifts: dict[str, dict[str, MeasuredLift]] = {}
    silence: dict[str, float] = {}


class Artefact(Struct, frozen=True, kw_only=True):
    """A manifest and its model in LightGBM's text format."""

    v: int = VERSION
    manifest: Manifest
    model: str


_canonical = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Artefact).decode


def checksum(model: str) -> str:
    """Return the sha256 of a model text, as the manifest states it."""
    return sha256(model.encode()).hexdigest()


def pack(manifest: Manifest, model: str) -> bytes:
    """Return the artefact; equal models give equal bytes."""
    return _canonical(Artefact(manifest=manifest, model=model))


def unpack(artefact: bytes) -> Artefact:
    """Read an artefact; raises Refused. What it says is not checked here: see the scorer."""
    try:
        read = _decode(artefact)
    except msgspec.MsgspecError as error:
        raise Refused(
            f"This is no model artefact ({error}): name a file that `rekindle train` wrote."
        ) from error
    newest = max(read.v, read.manifest.v)
    if newest > VERSION:
        raise Refused(
            f"The model artefact is of version {newest}, this program reads version {VERSION}: "
            "install the release of rekindle that wrote it."
        )
    return read


def manifest_json(manifest: Manifest) -> bytes:
    """Return the manifest alone, for people to read."""
    return msgspec.json.format(_canonical(manifest), indent=2) + b"\n"


def expired(manifest: Manifest, today: int) -> str | None:
    """Return the sentence that says a model is too old at ``today`` (ms), or None."""
    if today <= manifest.expires_at:
        return None
    days = (today - manifest.expires_at) // DAY
    return (
        f"Model {manifest.name}/{manifest.version} expired {days} days ago: "
        "train one on newer decisions."
    )
