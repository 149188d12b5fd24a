"""Chance is a keyed hash of stable ids."""

from engine import draws


def test_the_same_key_draws_the_same_lot() -> None:
    first = draws.draw("shop", "2026Q4", "holdout", "u-1")

    assert draws.draw("shop", "2026Q4", "holdout", "u-1") == first


def test_epoch_purpose_and_app_draw_anew() -> None:
    lots = {
        draws.draw("shop", "2026Q4", "holdout", "u-1"),
        draws.draw("shop", "2027Q1", "holdout", "u-1"),
        draws.draw("shop", "2026Q4", "explore", "u-1"),
        draws.draw("other", "2026Q4", "holdout", "u-1"),
    }

    assert len(lots) == 4


def test_lots_are_uniform() -> None:
    lots = [draws.draw("shop", "e", "holdout", f"u-{number}") for number in range(4000)]

    assert all(0.0 <= lot < 1.0 for lot in lots)
    for tenth in range(10):
        share = sum(tenth / 10 <= lot < (tenth + 1) / 10 for lot in lots) / len(lots)
        assert abs(share - 0.1) < 0.02


def test_ids_are_these_for_ever() -> None:
    """Golden: another value would send every message of every open episode again."""
    action = draws.action_id("shop", "u-1", "cart", 1, "cart_abandonment", "c-7", "e-1")

    assert action == "961d31f3-265b-5ee5-a3dc-35dc78648c3b"
    assert draws.decision_id(action, 0) == "3a760d76-a16d-5bb7-a983-4d9bed8e5084"
    assert draws.decision_id(action, 1) != draws.decision_id(action, 0)
    assert draws.fingerprint("e-1").hex() == "317386494bf10d9f"
    assert draws.draw("shop", "2026Q4", "holdout", "u-1") == 0.3812626996293258
