"""What stands on stderr: news, once, and never a library's chatter or a user's mistake as trace."""

import logging
from collections.abc import Iterator
from io import StringIO

import pytest

from engine.errors import Refused
from streams import logs


@pytest.fixture
def stderr() -> Iterator[StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = StringIO()
    logs.set_up(stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def test_of_like_warnings_one_is_written_and_the_others_are_counted(
    stderr: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(logs, "monotonic", lambda: now)
    log = logging.getLogger("streams.log.source")
    for partition in range(64):
        log.warning("events/%d: %s", partition, "Redis does not answer")
    now = 106.0
    log.warning("events/%d: %s", 7, "Redis does not answer")

    first, second = stderr.getvalue().splitlines()
    assert first.endswith("WARNING streams.log.source: events/0: Redis does not answer")
    assert second.endswith("events/7: Redis does not answer (and 63 more like it)")


def test_every_error_of_ours_is_written(stderr: StringIO) -> None:
    for partition in range(3):
        logging.getLogger("streams.log.source").error("%s stops: re-created", partition)

    assert stderr.getvalue().count("stops: re-created") == 3


@pytest.mark.parametrize(
    ("name", "level", "message"),
    [
        ("aiokafka.consumer.group_coordinator", logging.ERROR, "Group Coordinator Request failed"),
        ("aiokafka.producer.sender", logging.WARNING, "Got error produce response on partition"),
        ("mode.timers", logging.WARNING, "Timer %s is overlapping (interval=%r runtime=%r)"),
        ("streams.log.source", logging.INFO, "[^--Source]: Starting..."),
        ("aiokafka.conn", logging.INFO, "connecting"),
    ],
)
def test_chatter_is_not_written(stderr: StringIO, name: str, level: int, message: str) -> None:
    logging.getLogger(name).log(level, message)

    assert stderr.getvalue() == ""


def test_a_crash_on_a_users_mistake_leaves_the_sentence_to_the_command_line(
    stderr: StringIO,
) -> None:
    log = logging.getLogger("mode.services")
    try:
        raise Refused("Give each worker its own REKINDLE_WORKER_ID.")  # noqa: TRY301 - as mode does
    except Refused as refused:
        log.exception("Crashed reason=%r", refused)  # noqa: TRY401 - as mode does
    assert stderr.getvalue() == ""

    try:
        raise KeyError("bug")  # noqa: TRY301 - as mode does
    except KeyError as bug:
        log.exception("Crashed reason=%r", bug)  # noqa: TRY401 - as mode does
    assert "Traceback" in stderr.getvalue()


def test_a_library_can_be_silenced_for_a_while(stderr: StringIO) -> None:
    with logs.silent("aiokafka"):
        logging.getLogger("aiokafka").error("Unable connect")
    logging.getLogger("aiokafka").error("Heartbeat session expired")

    assert "Unable connect" not in stderr.getvalue()
    assert "Heartbeat session expired" in stderr.getvalue()
