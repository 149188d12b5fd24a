"""What is written by hand for speed is what the standard library writes."""

from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from engine.draws import NAMESPACE, action_id, decision_id
from engine.times import from_iso, iso, utc


@given(action=st.text(), attempt=st.integers(0, 9))
def test_ids_are_version_five_uuids_of_our_namespace(action: str, attempt: int) -> None:
    assert decision_id(action, attempt) == str(uuid5(NAMESPACE, f"{action}|{attempt}"))
    assert action_id("a", action, "c", 1, "k", "x", "e") == str(
        uuid5(NAMESPACE, f"a|{action}|c|1|k|x|e")
    )


@given(ms=st.integers(-(2**43), 2**47))
def test_times_are_written_to_the_millisecond_and_read_back(ms: int) -> None:
    assert iso(ms) == f"{utc(ms):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
    assert from_iso(iso(ms)) == ms
