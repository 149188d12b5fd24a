"""What stands on stderr: news, once, and never a library's chatter or a user's mistake as trace."""

import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest

from engine.errors import InvalidEvent, Refused, Unavailable
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


# --- as JSON ------------------------------------------------------------------------------------


@pytest.fixture
def lines() -> Iterator[StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = StringIO()
    logs.set_up(stream, "json", "worker-1")
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def test_as_json_each_line_is_one_object(lines: StringIO) -> None:
    logging.getLogger("streams.worker").info("owns %s", 'events/"0-3"\n')

    (line,) = lines.getvalue().splitlines()
    said = json.loads(line)
    assert said.pop("at").endswith("Z")
    assert said == {
        "level": "INFO",
        "logger": "streams.worker",
        "message": 'owns events/"0-3"\n',
        "worker": "worker-1",
    }


def test_a_traceback_stays_on_its_line(lines: StringIO) -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("streams.worker").exception("a bug")

    (line,) = lines.getvalue().splitlines()
    said = json.loads(line)
    assert said["error"] == "ZeroDivisionError"
    assert "test_logs.py" in said["trace"]
    assert "division by zero" in said["trace"]


# --- without persons ----------------------------------------------------------------------------

USER, MAIL, PHONE = "user-4711", "ann.lee@example.com", "+86 138-0013-8000"


@pytest.fixture(params=["text", "json"])
def discreet(request: pytest.FixtureRequest) -> Iterator[StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = StringIO()
    logs.set_up(stream, request.param)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def _raise(error: Exception) -> None:
    raise error


def _fail_because_of(error: Exception) -> None:
    try:
        _raise(error)
    except type(error) as raised:
        message = "the chunk failed"
        raise RuntimeError(message) from raised


@pytest.mark.parametrize(
    "error",
    [
        KeyError(USER),
        ValueError(f"invalid literal: {USER}"),
        UnicodeDecodeError("utf-8", USER.encode(), 0, 1, MAIL),
        InvalidEvent("no_user", f"{USER} is none"),
        Refused(f"nobody may write to {MAIL}, {PHONE}"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_bug_raises_names_nobody(discreet: StringIO, error: Exception) -> None:
    log = logging.getLogger("mode.services")
    try:
        _fail_because_of(error)
    except RuntimeError as outer:
        # as mode tells of a crash
        log.exception("[%s] Crashed reason=%r", "decide", error)
        log.critical("again: %s", outer, exc_info=outer)
        log.critical(error)

    told = discreet.getvalue()
    assert type(error).__name__ in told
    assert "the chunk failed" in told
    assert "test_logs.py" in told
    for secret in (USER, MAIL, PHONE):
        assert secret not in told


def test_a_task_nobody_waited_for_names_nobody(discreet: StringIO) -> None:
    message = f"Task exception was never retrieved\nfuture: <Task exception=KeyError('{USER}')>"
    logging.getLogger("asyncio").error(message, exc_info=KeyError(USER))

    assert "never retrieved" in discreet.getvalue()
    assert USER not in discreet.getvalue()


def test_addresses_are_blotted_out_and_services_are_not(discreet: StringIO) -> None:
    log = logging.getLogger("streams.worker")
    log.info("sent to %s and %s", MAIL, PHONE)
    log.info("redis at rediss://app:***@redis.example.com:6379/0, offset +12")

    told = discreet.getvalue()
    assert "sent to <address> and <address>" in told
    assert "rediss://app:***@redis.example.com:6379/0, offset +12" in told


def test_words_chosen_for_a_reader_are_told(discreet: StringIO) -> None:
    log = logging.getLogger("streams.log.source")
    log.warning("%s: %s", "events/3", Unavailable("Redis does not answer: timed out"))
    assert "events/3: Redis does not answer: timed out" in discreet.getvalue()
