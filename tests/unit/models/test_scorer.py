"""Which artefacts are refused, with which sentence, and what happens when a model cannot answer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf, nan

import lightgbm
import msgspec
import pytest

from engine import decisions as log
from engine.changes import Change
from engine.errors import Refused
from engine.events import Event, Line, Tick
from engine.memory import MemoryStore, PlainRenderer
from engine.pipeline import DECISIONS, Chunk, take
from engine.policy import Settings
from engine.ports import Commit, Head, InForce, Score
from engine.profile import Profile, Trigger, encode
from engine.times import DAY
from engine.triggers import Arm, Context, Disarm
from models import booster
from models.booster import BoosterError
from models.calibration import Calibration
from models.features import NAMES, SCHEMA_HASH, as_dict, vector
from models.manifest import Artefact, Golden, checksum, pack, unpack
from models.scorer import ModelScorer, build
from tests.unit.models.golden_cases import cases
from tests.unit.models.shop import CAMPAIGN, LOCAL, NOW, ask


def _build(
    artefact: bytes, *, allow_simulated: bool = True, today: int | None = None
) -> ModelScorer:
    scorer = build(artefact, allow_simulated=allow_simulated, local=LOCAL, today=today)
    assert isinstance(scorer, ModelScorer)
    return scorer


def test_without_a_model_the_prior_speaks_and_the_features_are_logged() -> None:
    case = cases()["with_cart"]
    score = build(None, allow_simulated=False, local=LOCAL).score(case)
    assert score == Score(
        p0=CAMPAIGN.prior_order_rate,
        features=as_dict(vector(case, None, LOCAL)),
        schema_hash=SCHEMA_HASH,
    )


def test_a_model_says_the_calibrated_chance_of_an_order_if_nothing_is_sent(
    artefact: bytes,
) -> None:
    case = cases()["with_cart"]
    score = _build(artefact).score(case)
    manifest, model = unpack(artefact).manifest, unpack(artefact).model
    raw = lightgbm.Booster(model_str=model).predict(
        [vector(case, None, LOCAL)], raw_score=True, num_threads=1
    )
    expected = manifest.calibration["cart_abandonment"].probability(float(raw[0]))
    assert score.p0 == expected
    assert score.features == as_dict(vector(case, None, LOCAL))
    assert score.model == ("order", "v1")
    assert score.mean_order == 100.0
    assert not score.failed


def test_a_trigger_the_model_never_saw_keeps_the_prior(artefact: bytes) -> None:
    score = _build(artefact).score(ask(Profile(), kind="post_purchase_30d", key="o-1"))
    assert score.p0 == CAMPAIGN.prior_order_rate
    assert score.model is None
    assert not score.failed
    assert score.schema_hash == SCHEMA_HASH


# --- refusals -----------------------------------------------------------------------------------


def _altered(artefact: bytes, **changes: object) -> bytes:
    read = unpack(artefact)
    return pack(msgspec.structs.replace(read.manifest, **changes), read.model)


def _with_model(artefact: bytes, model: str) -> bytes:
    return pack(msgspec.structs.replace(unpack(artefact).manifest, checksum=checksum(model)), model)


def _many_trees(artefact: bytes) -> bytes:
    return _with_model(artefact, unpack(artefact).model + "\nTree=0" * 501)


def _heavy(artefact: bytes) -> bytes:
    return _with_model(artefact, unpack(artefact).model + "#" * 8 * 1024 * 1024)


def _other_leaves(artefact: bytes) -> bytes:
    first = unpack(artefact).manifest.golden[0]
    return _altered(artefact, golden=[Golden(first.row, first.raw + 1e-9)])


def _newer_format(artefact: bytes) -> bytes:
    read = unpack(artefact)
    return msgspec.json.encode(Artefact(v=2, manifest=read.manifest, model=read.model))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda a: _altered(a, schema_hash="0" * 64), "trained on other features"),
        (lambda a: _altered(a, checksum="0" * 64), "checksum"),
        (lambda a: _altered(a, lightgbm_version="5.0.0"), "LightGBM 5.0.0"),
        (lambda a: _altered(a, lightgbm_version="unknown"), "LightGBM unknown"),
        (lambda a: _altered(a, golden=[]), "no golden rows"),
        (lambda a: _altered(a, golden=[Golden([1.0], 0.0)]), "golden rows"),
        (_other_leaves, "golden row 0"),
        (_many_trees, "trees, more than 500"),
        (_heavy, "bytes, more than"),
        (_newer_format, "version 2"),
        (lambda a: _with_model(a, "this is no model"), "cannot be loaded"),
        (lambda a: a[:-1], "no model artefact"),
        (lambda a: b"{}", "no model artefact"),
    ],
)
def test_an_artefact_that_must_not_be_used_is_refused_with_one_sentence(
    artefact: bytes, spoil: Callable[[bytes], bytes], says: str
) -> None:
    with pytest.raises(Refused, match=says) as refused:
        _build(spoil(artefact))
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


def test_a_model_of_a_simulated_shop_needs_leave(artefact: bytes) -> None:
    with pytest.raises(Refused, match="allow_simulated_model = true"):
        _build(artefact, allow_simulated=False)
    assert _build(_altered(artefact, provenance="real"), allow_simulated=False)


def test_an_expired_model_is_refused_where_a_clock_may_be_read_and_only_there(
    artefact: bytes,
) -> None:
    expires = unpack(artefact).manifest.expires_at
    assert _build(artefact, today=expires)
    with pytest.raises(Refused, match="expired 3 days ago"):
        _build(artefact, today=expires + 3 * DAY)
    assert _build(artefact)


# --- failures -----------------------------------------------------------------------------------


class _Broken:
    """A model that answers once in a way it must not."""

    def __init__(self, answer: float | Exception) -> None:
        self._answer = answer

    def raw(self, vector: list[float]) -> float:
        assert len(vector) == len(NAMES)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize("answer", [nan, inf, -inf, BoosterError("no"), MemoryError()])
def test_a_model_that_cannot_answer_gives_way_to_the_prior(
    artefact: bytes, answer: float | Exception
) -> None:
    case = cases()["with_cart"]
    broken = replace(_build(artefact), row=_Broken(answer))
    score = broken.score(case)
    assert score.failed
    assert score.p0 == CAMPAIGN.prior_order_rate
    assert score.model is None
    assert score.features == as_dict(vector(case, None, LOCAL))


def test_a_calibration_that_overflows_is_a_failure_too(artefact: bytes) -> None:
    wild = replace(
        _build(artefact), calibration={"cart_abandonment": Calibration(kind="platt", a=1e308)}
    )
    assert replace(wild, row=_Broken(1e9)).score(cases()["with_cart"]).failed


def test_a_profile_nobody_can_read_features_of_is_a_failure_not_a_crash(artefact: bytes) -> None:
    broken = Profile()
    broken.counters.long = []
    for scorer in (_build(artefact), build(None, allow_simulated=False, local=LOCAL)):
        score = scorer.score(ask(broken))
        assert score.failed
        assert score.p0 == CAMPAIGN.prior_order_rate
        assert score.features == {}
        assert not score.schema_hash


def test_the_slow_path_scores_the_same(artefact: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _build(artefact)
    monkeypatch.setattr(booster, "_library", lambda: None)
    slow = _build(artefact)
    assert type(fast.row) is not type(slow.row)
    for case in cases().values():
        assert slow.score(case) == fast.score(case)


class _StillThere:
    """A trigger rule whose reason always stands."""

    kind = "cart_abandonment"
    reacts_to: tuple[type, ...] = ()
    once_per_order = False

    def react(
        self, profile: Profile, event: Event, change: Change, context: Context
    ) -> Sequence[Arm | Disarm]:
        return ()

    def holds(self, profile: Profile, trigger: Trigger) -> str | None:
        return None

    def items(self, profile: Profile, trigger: Trigger) -> list[Line]:
        return []


async def test_a_step_counts_the_failures_of_its_model_and_records_the_prior(
    artefact: bytes,
) -> None:
    case = cases()["with_cart"]
    case.profile.triggers.append(case.trigger)
    store, head = MemoryStore(), Head()
    await store.acquire(0, "token")
    packed, woken = {case.user_id: encode(case.profile)}, {case.user_id: case.trigger.wake_at}
    await store.commit(0, "token", Commit(0, Head(1), packed, wakes=woken))
    force = InForce(
        settings=Settings(),
        settings_hash="",
        policy=case.policy,
        triggers={"cart_abandonment": _StillThere()},
        guards=(),
        count_caps=lambda case: [],
        scorer=replace(_build(artefact), row=_Broken(nan)),
        renderer=PlainRenderer(),
        local=LOCAL,
    )
    chunk = Chunk([(1, Tick(now=NOW))], 1, 2, 0)
    taken = await take(store, 0, head, chunk, force)
    assert taken.report.scoring_failures == 1
    [decision] = [log.decode(out.value) for out in taken.commit.outbox if out.topic == DECISIONS]
    assert decision.model is None
    assert decision.channels["push"].p0 == CAMPAIGN.prior_order_rate
    assert decision.features == as_dict(vector(cases()["with_cart"], None, LOCAL))
    assert decision.schema_hash == SCHEMA_HASH
