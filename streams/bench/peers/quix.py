"""The reduced job in Quix Streams, exactly once, state in its own RocksDB and changelog.

A program of its own, run by a Python that has quixstreams:
`python -m streams.bench.peers.quix KAFKA SOURCE TARGET COUNT FOLDER`. It says "begun" at the first
event and "done" when COUNT are worked off and the last transaction is committed.
"""

import sys
from typing import Any

from quixstreams import Application, State, message_context
from quixstreams.models import Deserializer, SerializationContext

from streams.bench.peers import job


class _Shop(Deserializer):  # type: ignore[misc] # quixstreams is not in our environment
    """One key for a whole partition: a wake-up must reach people other than the event's own."""

    def __call__(self, value: bytes, ctx: SerializationContext) -> str:  # noqa: ARG002 - theirs
        return "shop"


class _Job:
    """What is done per message; the users of a partition and its wake-ups live in its state."""

    def __init__(self) -> None:
        self._clocks: dict[int, int] = {}

    def take(self, message: job.Message, state: State) -> list[dict[str, Any]]:
        """Return the actions that are due before this message; then fold it."""
        partition, at = message_context().partition, job.time_of(message)
        actions: list[dict[str, Any]] = []
        minute = job.minute_of(at)
        passed = self._clocks.get(partition) or state.get("clock", 0)
        if minute > passed:
            actions = self._due(state, passed, minute)
            self._clocks[partition] = minute
            state.set("clock", minute)
        user = message["userId"]
        known = state.get(user) or job.blank()
        before = known["due"]
        job.fold(known, message, at)
        state.set(user, known)
        if known["due"] and known["due"] != before:
            self._wake(state, user, known["due"])
        return actions

    @staticmethod
    def _wake(state: State, user: str, due: int) -> None:
        """Note her in the minute that decides it; being there once more than needed is harmless."""
        minute = f"wake:{job.minute_of(due + job.TICK - 1)}"
        waiting = state.get(minute) or []
        if user not in waiting:
            state.set(minute, [*waiting, user])

    @staticmethod
    def _due(state: State, before: int, now: int) -> list[dict[str, Any]]:
        actions = []
        for minute in range(before or now, now + 1, job.TICK):
            waiting = state.get(f"wake:{minute}")
            if waiting is None:
                continue
            state.delete(f"wake:{minute}")
            for user in waiting:
                known = state.get(user)
                action = job.decide(known, user, now)
                if action is not None:
                    actions.append(action)
                state.set(user, known)
        return actions


def run(kafka: str, source: str, target: str, count: int, folder: str) -> None:
    """Work off ``count`` messages and return after the last transaction."""
    taken = 0

    def told(*_: object) -> None:
        nonlocal taken
        taken += 1
        if taken == 1:
            print("begun", flush=True)  # noqa: T201 - said to the bench
        if taken == count:
            app.stop()

    app = Application(
        broker_address=kafka,
        consumer_group=f"{source}.quix",
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="WARNING",
        on_message_processed=told,
    )
    read = app.topic(source, key_deserializer=_Shop(), value_deserializer="json")
    write = app.topic(target, key_serializer="str", value_serializer="json")
    work = _Job()
    frame = app.dataframe(read).apply(work.take, stateful=True, expand=True)
    frame.to_topic(write, key=lambda action: action["user_id"])
    app.run()
    print("done", flush=True)  # noqa: T201 - said to the bench


if __name__ == "__main__":
    broker, source_topic, target_topic, events, state_folder = sys.argv[1:]
    run(broker, source_topic, target_topic, int(events), state_folder)
