"""The three kinds of error and their three fates; everything else is a bug and ends the process."""


class InvalidEvent(ValueError):
    """The record will never be readable: dead-letter it with this reason and go on.

    ``reason`` is a short label from a closed list (it becomes a metric label); the message is
    for a person.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(ConnectionError):
    """Redis, Kafka or a gateway is away: retry in place with back-off, hold the partition."""


class Refused(ValueError):
    """A user's mistake (setting, campaigns file, artefact): one sentence that says how to mend it.

    The command line prints the message and ends with exit code 1; it is never a traceback.
    """


class Fenced(RuntimeError):
    """Another worker owns the partition now: this ownership is over, nothing was written."""


class Stale(RuntimeError):
    """The store stands at another offset than we thought: close the lane and enter again."""
