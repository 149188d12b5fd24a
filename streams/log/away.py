"""What is said when Kafka does not answer."""

from engine.errors import Unavailable


def away(bootstrap: str) -> Unavailable:
    """Return the one sentence for it, with how to mend it."""
    return Unavailable(
        f"Kafka does not answer at {bootstrap}: start it, or set REKINDLE_KAFKA to where it "
        "listens."
    )
