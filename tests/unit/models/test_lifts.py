"""Measured lifts: they find known odds ratios where comparing who got what would not."""

from dataclasses import replace
from math import log

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import decisions as record
from engine.memory import PlainRenderer
from engine.policy import Settings
from engine.ports import InForce
from engine.profile import Profile
from models.booster import load
from models.calibration import Calibration
from models.features import NAMES
from models.manifest import unpack
from models.scorer import ModelScorer, build
from models.training import lifts
from models.training.arms import Arm, arm, shrunken, variance, withheld_share
from models.training.labels import NOTHING, UNCOMPARED, Labelled, label
from models.training.silence import SPREAD, shifted, shifts
from models.training.train import train
from tests.unit.models.lots import ASSUMED, KIND, Lots, drawn, lots
from tests.unit.models.shop import CAMPAIGN, LOCAL, NOW, POLICY, ask
from tests.unit.models.world import WINDOWS, World, trained

_LEARNED = 5_000
ODDS = {"push": 1.8, "email": 1.3, "sms": 1.0}


@pytest.fixture(scope="module")
def known() -> Lots:
    return lots(12_000, ODDS, seed=1)


@pytest.fixture(scope="module")
def labelled(known: Lots) -> Labelled:
    return known.labelled()


@pytest.fixture(scope="module")
def artefact(known: Lots) -> bytes:
    return trained(_first(known))


def _first(known: Lots) -> World:
    """Return enough of the log to train on, in a second."""
    return World(known.decisions[:_LEARNED], known.events, [], [])


# --- they find the truth ------------------------------------------------------------------------


def test_the_known_odds_ratios_are_found_in_a_log_of_the_engines_own_lots(
    known: Lots, labelled: Labelled
) -> None:
    found, missing = lifts.measure(labelled, [KIND], known.foretold)
    assert not missing
    for channel, truth in ODDS.items():
        measured = found[KIND][channel]
        assert measured.low < truth < measured.high
        assert measured.low < measured.estimate < measured.high


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """300 intervals of 95 %: fewer than 270 hits would come of chance once in 10,000 times."""
    hits = 0
    for seed in range(100):
        rows, foretold = drawn(2_000, ODDS, seed=seed)
        found = lifts.measure(rows, [KIND], foretold)[0][KIND]
        hits += sum(found[c].low < truth < found[c].high for c, truth in ODDS.items())
    assert 270 <= hits < 300


def test_without_the_lots_the_interval_hardly_ever_covers_the_truth() -> None:
    """The mutant of the test above: everybody who got it against everybody who got nothing."""
    hits = 0
    for seed in range(20):
        rows, foretold = drawn(2_000, ODDS, seed=seed)
        naive = lifts.measure(_mute(rows), [KIND], np.zeros_like(foretold))[0][KIND]
        hits += sum(naive[c].low < ODDS[c] < naive[c].high for c in ("email", "sms"))
    assert hits < 4  # of 40


def _mute(rows: Labelled) -> Labelled:
    even = np.where(rows.chance > 0, 0.5, 0.0)
    return replace(rows, silence=np.full_like(rows.silence, 0.5), chance=even)


def test_comparing_who_got_what_takes_the_useless_channel_for_the_best(
    known: Lots, labelled: Labelled
) -> None:
    naive = lifts.measure(_mute(labelled), [KIND], np.zeros_like(known.foretold))[0][KIND]
    found = lifts.measure(labelled, [KIND], known.foretold)[0][KIND]
    assert naive["sms"].low > 2 > found["sms"].high
    assert max(naive, key=lambda channel: naive[channel].estimate) == "sms"
    assert max(found, key=lambda channel: found[channel].estimate) == "push"
    assert found["sms"].low < ODDS["sms"] < found["sms"].high


def test_the_lots_alone_are_enough_where_the_model_knows_nothing(
    known: Lots, labelled: Labelled
) -> None:
    nothing = np.full_like(known.foretold, -1.5)
    by_lots = lifts.measure(labelled, [KIND], nothing)[0][KIND]["sms"]
    by_nothing = lifts.measure(_mute(labelled), [KIND], nothing)[0][KIND]["sms"]
    assert by_lots.low < ODDS["sms"] < by_lots.high
    assert by_nothing.low > 2 > by_lots.high


def test_the_share_withheld_is_seen_among_those_a_channel_was_chosen_for(
    labelled: Labelled,
) -> None:
    assert withheld_share(labelled) == pytest.approx(0.1, abs=0.02)
    nobody = replace(labelled, withheld=np.zeros_like(labelled.withheld))
    assert withheld_share(nobody) == 0.0


def test_the_holdout_alone_is_enough_to_measure_by() -> None:
    even = dict.fromkeys(ODDS, 2.0)
    rows, foretold = drawn(6_000, even, seed=5, explored=0.0, withheld=0.3)
    found, _ = lifts.measure(rows, [KIND], foretold)
    assert found[KIND]["push"].low < 2.0 < found[KIND]["push"].high
    assert found[KIND]["push"].low > 1


def test_a_level_that_was_foretold_wrongly_is_not_taken_for_an_effect(
    known: Lots, labelled: Labelled
) -> None:
    right = lifts.measure(labelled, [KIND], known.foretold)[0][KIND]["push"]
    wrong = lifts.measure(labelled, [KIND], known.foretold + 0.7)[0][KIND]["push"]
    assert wrong.estimate == pytest.approx(right.estimate, rel=0.02)


# --- what is served -----------------------------------------------------------------------------


def test_the_lift_of_a_useless_channel_goes_towards_one_as_rows_come_in() -> None:
    useless = dict.fromkeys(ODDS, 1.0)
    rows, foretold = drawn(30_000, useless, seed=7)
    optimist = replace(rows, assumed=np.full_like(rows.assumed, 1.6))
    few = replace(optimist, done=np.where(rows.at < 2_000, rows.done, UNCOMPARED))
    early = lifts.measure(few, [KIND], foretold)[0][KIND]
    late = lifts.measure(optimist, [KIND], foretold)[0][KIND]
    for channel in ODDS:
        assert early[channel].prior == late[channel].prior == 1.6
        assert abs(log(late[channel].odds_ratio)) < abs(log(early[channel].odds_ratio)) < log(1.6)
        assert abs(log(late[channel].odds_ratio)) < 0.35 * log(1.6)


def test_what_is_served_lies_between_assumption_and_estimate_and_is_rounded(
    known: Lots, labelled: Labelled
) -> None:
    for measured in lifts.measure(labelled, [KIND], known.foretold)[0][KIND].values():
        low, high = sorted((measured.prior, measured.estimate))
        assert low <= measured.odds_ratio <= high
        assert measured.prior == ASSUMED
        assert measured.odds_ratio == round(measured.odds_ratio, 6)


def test_the_campaigns_file_says_what_is_assumed_not_the_model_before(known: Lots) -> None:
    rows = replace(known, decisions=known.decisions[:50]).labelled()
    assert set(rows.assumed.ravel()) == {ASSUMED}
    told = train(
        known.decisions[:3_000],
        known.events,
        WINDOWS,
        name="order",
        version="v1",
        created_at=NOW,
        provenance="simulator",
        seed=1,
        assumed={"cart": {"push": 1.4}},
    )
    found = unpack(told).manifest.lifts[KIND]
    assert found["push"].prior == 1.4
    assert found["email"].prior == ASSUMED


# --- too little ---------------------------------------------------------------------------------


def test_too_few_rows_keep_the_assumption_and_say_how_many_are_missing() -> None:
    rows, foretold = drawn(160, ODDS, seed=8)
    found, missing = lifts.measure(rows, [KIND], foretold)
    sms = int(np.count_nonzero(rows.done == rows.channels.index("sms") + 1))
    silent = rows.done == NOTHING
    still = int(np.count_nonzero(silent & (rows.chance[:, rows.channels.index("sms")] > 0)))
    assert 0 < sms < 50
    assert "sms" not in found.get(KIND, {})
    (sentence,) = [one for one in missing if one.startswith(f"{KIND} by sms keeps the assumed")]
    assert f"sent {sms} times and nothing was sent {still} times" in sentence
    assert f"{50 - sms} and {max(50 - still, 0)} are missing" in sentence


def test_too_few_orders_keep_the_assumption() -> None:
    rows, foretold = drawn(3_000, ODDS, seed=9, base=-12.0)
    found, missing = lifts.measure(rows, [KIND], foretold)
    assert not found
    assert len(missing) == len(ODDS)
    assert all("of the rarer outcome there were" in sentence for sentence in missing)


def test_where_silence_was_impossible_nothing_is_compared() -> None:
    rows, foretold = drawn(1_500, ODDS, seed=10, explored=0.0, withheld=0.0)
    found, missing = lifts.measure(rows, [KIND], foretold)
    assert not found
    assert "nothing was sent 0 times" in missing[0]


# --- which rows count ---------------------------------------------------------------------------


def test_a_dry_run_changes_no_lift(known: Lots, labelled: Labelled) -> None:
    rehearsed = [
        record.encode(msgspec.structs.replace(record.decode(value), decision_id=f"dry-{number}"))
        for number, value in enumerate(lots(600, ODDS, seed=11, mode="dry_run").decisions)
    ]
    both = known.labelled([*known.decisions, *rehearsed])
    assert len(both.at) == 12_600
    assert np.count_nonzero(both.done == UNCOMPARED) == 600
    live = both.done != UNCOMPARED
    flat = np.zeros(len(both.at))
    alone = lifts.measure(labelled, [KIND], np.zeros(len(labelled.at)))
    assert lifts.measure(both, [KIND], flat) == alone
    assert np.array_equal(both.done[live], labelled.done)


@pytest.mark.parametrize(
    "spoil",
    [{"tester": True}, {"outcome": "suppress", "reason": "template_failed"}],
)
def test_testers_and_words_that_failed_are_never_compared(
    known: Lots, spoil: dict[str, object]
) -> None:
    sent = next(v for v in known.decisions if record.decode(v).outcome == "send")
    spoilt = msgspec.structs.replace(record.decode(sent), decision_id="spoilt", **spoil)
    rows = known.labelled([sent, record.encode(spoilt)])
    assert np.count_nonzero(rows.done != UNCOMPARED) == 1


def test_thinned_rows_keep_their_own_alternatives(known: Lots) -> None:
    thinned = label(known.decisions[:2_000], known.events, WINDOWS, max_rows=500)
    whole = known.labelled(known.decisions[:2_000])
    place = np.searchsorted(whole.at, thinned.at)
    assert 100 < len(thinned.at) <= 500
    assert np.array_equal(whole.done[place], thinned.done)
    assert np.array_equal(whole.silence[place], thinned.silence)
    assert np.array_equal(whole.chance[place], thinned.chance)


# --- laws ---------------------------------------------------------------------------------------


def test_rows_of_one_person_that_agree_do_not_make_the_interval_narrower(
    known: Lots, labelled: Labelled
) -> None:
    first = slice(0, 3_000)
    once = _rows(labelled, first)
    twice = _rows(labelled, np.repeat(np.arange(3_000), 2))
    one = lifts.measure(once, [KIND], known.foretold[first])[0][KIND]["push"]
    two = lifts.measure(twice, [KIND], np.repeat(known.foretold[first], 2))[0][KIND]["push"]
    assert two.treated == 2 * one.treated
    assert (two.estimate, two.low, two.high) == pytest.approx((one.estimate, one.low, one.high))
    assert two.odds_ratio == pytest.approx(one.odds_ratio)


def _rows(rows: Labelled, places: slice | np.ndarray) -> Labelled:
    columns = ("vectors", "converted", "at", "window", "kind", "user", "sent", "done", "withheld")
    more = ("silence", "chance", "assumed")
    return replace(rows, **{name: getattr(rows, name)[places] for name in columns + more})


@given(estimate=st.floats(-3, 3), variance=st.floats(1e-4, 1e3), toward=st.floats(-1, 1))
def test_shrinking_never_passes_the_estimate_nor_the_prior(
    estimate: float, variance: float, toward: float
) -> None:
    low, high = sorted((estimate, toward))
    found = shrunken(estimate, variance, toward=toward, spread=0.2)
    assert low - 1e-12 <= found <= high + 1e-12
    closer = shrunken(estimate, variance / 2, toward=toward, spread=0.2)
    assert abs(closer - estimate) <= abs(found - estimate) + 1e-12


@given(shift=st.floats(-4, 4), level=st.floats(-3, 3))
def test_an_arm_solves_for_the_shift_that_makes_expected_orders_observed_ones(
    labelled: Labelled, shift: float, level: float
) -> None:
    ours = np.arange(len(labelled.at)) < 400
    chance = np.full(len(labelled.at), 0.5)
    foretold = np.full(len(labelled.at), level + shift)
    found = arm(labelled, ours, foretold, chance)
    rate = float(np.mean(labelled.converted[ours]))
    assert level + shift + found.shift == pytest.approx(log(rate / (1 - rate)), abs=1e-8)
    assert variance(found) > 0


def test_one_arm_less_itself_is_certain() -> None:
    one = Arm(0.3, np.array([0.1, -0.2, 0.4]), np.array([1, 2, 2]))
    assert variance(one, minus=one) == 0
    assert variance(one) == pytest.approx((0.1**2 + 0.2**2) * 2)


# --- silence ------------------------------------------------------------------------------------


def test_a_chance_that_holds_what_messages_did_is_set_right_for_silence() -> None:
    """Trees that never asked for the channel answer with what mostly was done: sent."""
    strong = dict.fromkeys(ODDS, 2.5)
    rows, foretold = drawn(30_000, strong, seed=12, explored=0.1, frailty=0.0)
    everyone = np.ones(len(rows.at), dtype=np.bool_)
    moved = shifts(rows, everyone, [KIND], foretold + 0.5)[KIND]
    assert moved == pytest.approx(-0.5, abs=0.15)
    right = shifts(rows, everyone, [KIND], foretold)[KIND]
    assert abs(right) < 0.12


def test_few_silent_rows_move_a_chance_little() -> None:
    rows, foretold = drawn(6_000, ODDS, seed=13)
    early = {n: np.arange(len(rows.at)) < n for n in (20, 200, 6_000)}
    moved = {n: shifts(rows, few, [KIND], foretold + 1)[KIND] for n, few in early.items()}
    assert moved[20] == 0.0  # fewer than five orders
    assert -SPREAD < moved[200] < -0.02
    assert moved[6_000] < -0.4


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(),
        Calibration(kind="platt", a=0.8, b=0.1),
        Calibration(kind="isotonic", raw=(-2.0, 0.0, 1.0), p=(0.1, 0.4, 0.7)),
    ],
)
def test_a_shifted_calibration_says_more_by_as_much_and_ranks_the_same(
    calibration: Calibration,
) -> None:
    moved = shifted(calibration, -0.3)
    for raw in (-2.0, 0.0, 1.0):
        before, after = calibration.probability(raw), moved.probability(raw)
        assert log(after / (1 - after)) == pytest.approx(log(before / (1 - before)) - 0.3, abs=1e-4)
    assert moved.probability(-1.0) < moved.probability(-0.9)
    assert shifted(calibration, 0.0) == calibration


# --- the artefact -------------------------------------------------------------------------------


def _scorer(artefact: bytes) -> ModelScorer:
    scorer = build(artefact, allow_simulated=True, local=LOCAL)
    assert isinstance(scorer, ModelScorer)
    return scorer


def _force(scorer: ModelScorer) -> InForce:
    return InForce(
        settings=Settings(),
        settings_hash="",
        policy=POLICY,
        triggers={},
        guards=(),
        count_caps=lambda case: [],
        scorer=scorer,
        renderer=PlainRenderer(),
        local=LOCAL,
    )


def test_the_same_log_gives_the_same_bytes(known: Lots, artefact: bytes) -> None:
    assert trained(_first(known)) == artefact


def test_a_model_learned_from_its_own_log_measures_as_with_the_truth(
    known: Lots, labelled: Labelled, artefact: bytes
) -> None:
    first = slice(0, _LEARNED)
    ideal = lifts.measure(_rows(labelled, first), [KIND], known.foretold[first])[0][KIND]
    for channel, measured in unpack(artefact).manifest.lifts[KIND].items():
        assert measured.low < ODDS[channel] < measured.high
        assert measured.estimate == pytest.approx(ideal[channel].estimate, rel=0.06)


def test_the_chance_served_is_measured_on_rows_without_a_message(artefact: bytes) -> None:
    manifest = unpack(artefact).manifest
    figures = manifest.metrics["nothing_sent"]
    assert figures.rows < manifest.metrics["all"].rows
    assert figures.base_rate is not None
    assert figures.mean_predicted is not None
    assert figures.base_rate.low < figures.mean_predicted < figures.base_rate.high


def test_what_is_served_holds_what_was_added_for_silence(
    known: Lots, labelled: Labelled, artefact: bytes
) -> None:
    manifest, row = unpack(artefact).manifest, load(unpack(artefact).model, len(NAMES))
    assert manifest.silence[KIND] != 0
    learned = labelled.at < labelled.at[_LEARNED]
    untouched = learned & (labelled.at >= (manifest.window.unseen_from or 0)) & ~labelled.sent
    served = [
        manifest.calibration[KIND].probability(row.raw(values))
        for values in labelled.vectors[untouched].tolist()
    ]
    figures = manifest.metrics["nothing_sent"]
    assert figures.rows == len(served)
    assert figures.mean_predicted == pytest.approx(np.mean(served), abs=1e-6)


def test_what_was_measured_is_what_the_decision_reckons_with(artefact: bytes) -> None:
    scorer, case = _scorer(artefact), ask(Profile())
    score = scorer.score(case)
    measured = unpack(artefact).manifest.lifts[KIND]
    assert score.lifts == {channel: lift.odds_ratio for channel, lift in measured.items()}
    force = _force(scorer)
    weighed = record.weigh(case, force)
    for channel in CAMPAIGN.channels:
        assert weighed.lift[channel] == measured[channel].odds_ratio
        assert weighed.uplift[channel] == record.uplift(score.p0, measured[channel].odds_ratio)


def test_a_trigger_the_model_does_not_speak_about_keeps_its_assumption(artefact: bytes) -> None:
    assert _scorer(artefact).score(ask(Profile(), kind="post_purchase_30d")).lifts == {}


def test_an_artefact_of_before_lifts_were_measured_still_loads(artefact: bytes) -> None:
    told = msgspec.json.decode(artefact)
    for field in ("lifts", "silence"):
        del told["manifest"][field]
    older = msgspec.json.encode(told)
    assert unpack(older).manifest.lifts == {}
    scorer = _scorer(older)
    score = scorer.score(ask(Profile()))
    assert score.lifts == {}
    assert score.model is not None
    assert record.weigh(ask(Profile()), _force(scorer)).lift == CAMPAIGN.lift
