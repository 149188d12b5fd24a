"""The table of a trial: means over seeds, paired, and a verdict only where there is one."""

import pytest

from streams.trial import table
from streams.trial.run import Asked, Trained, Trial
from streams.trial.worth import Outcome


def an_outcome(value: float, messages: int = 0, worth: float | None = None) -> Outcome:
    return Outcome(
        value=value,
        worth=value if worth is None else worth,
        margin=value,
        cost=0.0,
        messages=messages,
        by_channel={"push": messages} if messages else {},
        lost=0,
        orders=0,
        caused=0,
    )


def trials(
    *gains: float, world: str = "default", auc: float | None = 0.7, refused: str = ""
) -> list[Trial]:
    """Return a trial of 500 shoppers per gain of the model; shops differ far more than that."""
    return [
        Trial(
            asked=Asked(world=world, seed=seed, shoppers=500),
            trained=Trained(rows=900, auc=auc, refused=refused),
            outcomes={
                "prior": an_outcome(10_000.0 * seed, 400),
                "model": an_outcome(10_000.0 * seed + gain, 300),
                "oracle": an_outcome(10_000.0 * seed + 500.0, 100),
            },
        )
        for seed, gain in enumerate(gains, start=1)
    ]


def the_model(found: list[Trial]) -> table.Row:
    (row,) = [row for row in table.rows(found) if row.strategy == "model"]
    return row


def test_gains_are_paired_by_seed_and_per_thousand_shoppers() -> None:
    row = the_model(trials(10.0, 20.0, 30.0))

    assert row.gain == pytest.approx(40.0)
    assert row.gain_error == pytest.approx(20.0 / 3**0.5)
    assert row.regret == pytest.approx(2 * (500 - 20))
    assert row.messages == pytest.approx(600.0)
    assert row.value == pytest.approx(2 * 20_020.0)


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((10.0, 11.0, 12.0, 11.0, 10.0), "better"),
        ((-10.0, -11.0, -12.0, -11.0, -10.0), "worse"),
        ((10.0, -11.0, 12.0, -11.0, 10.0), "no different"),
        ((0.0, 0.0, 0.0, 0.0, 0.0), "no different"),
        ((10.0, 11.0, 12.0, 11.0), "not told"),
        ((10.0,), "not told"),
    ],
)
def test_a_verdict_needs_five_seeds_and_more_than_noise(
    gains: tuple[float, ...], verdict: str
) -> None:
    found = trials(*gains)

    assert the_model(found).verdict == verdict
    assert table.loses(found) is (verdict == "worse")


def worths(*pairs: tuple[float, float]) -> list[Trial]:
    """Return a trial per (worth, value) of the model's messages, the prior's being nothing."""
    found = trials(*[value for _, value in pairs])
    for trial, (worth, value) in zip(found, pairs, strict=True):
        prior = trial.outcomes["prior"]
        trial.outcomes["model"] = an_outcome(prior.value + value, 300, prior.value + worth)
    return found


def test_a_sure_worth_counts_where_the_value_jumps() -> None:
    found = worths((10.0, 900.0), (11.0, -800.0), (12.0, 700.0), (11.0, -900.0), (10.0, 500.0))
    assert the_model(found).verdict == "better"
    assert the_model(found).worth == pytest.approx(2 * 10.8)


def test_what_truly_happened_overrules_the_worth_where_it_is_sure() -> None:
    tired = worths((10.0, -800.0), (11.0, -810.0), (12.0, -805.0), (11.0, -795.0), (10.0, -790.0))
    assert the_model(tired).verdict == "worse"
    assert table.loses(tired)


def test_one_lost_world_among_won_ones_is_a_loss() -> None:
    won, lost = trials(*[9.0, 10.0] * 3), trials(*[-9.0, -10.0] * 3, world="fatigued")

    assert table.loses([*won, *lost])
    page = "\n".join(table.told([*won, *lost]))
    assert "beats the prior by more than noise in: default." in page
    assert "LOSES to the prior by more than noise in: fatigued." in page


def test_the_page_says_first_that_it_is_simulated_and_fits_a_terminal() -> None:
    found = trials(2e4, -2e4, 3.0, world="would-buy-anyway")
    page = list(table.told(found))

    assert page[0].startswith("Simulated shops: the people are invented")
    assert max(len(line) for line in page) <= 80
    assert "seeds 1 to 3" in " ".join(page)


def test_where_training_was_refused_the_page_says_so() -> None:
    found = [*trials(1.0, 2.0), *trials(3.0, auc=None, refused="There is too little.")]

    assert "AUC 0.70, no model in 1 of 3" in "\n".join(table.told(found))
    assert "no model" in "\n".join(table.told(trials(1.0, auc=None, refused="Too little.")))


def test_the_json_has_every_trial_its_rows_rest_on() -> None:
    found = table.as_json(trials(1.0, 2.0))

    assert found["provenance"] == "simulator"
    assert [row["strategy"] for row in found["rows"]] == ["prior", "model", "oracle"]
    assert [trial["asked"]["seed"] for trial in found["trials"]] == [1, 2]
