"""When a series may learn: not from a fault, and not never again after a lasting change."""

from typing import Final

from engine.times import DAY, HOUR
from monitoring.anomalies.kpi import OPENS_AT, QUIET_BELOW, QUIET_WINDOWS

# A fault of a day must still be one at its end; what lasts three days is how things are now.
# A series that does not know its week yet is wrong more often and is believed sooner.
ADOPTED_AFTER: Final = 72 * HOUR
ADOPTED_AFTER_YOUNG: Final = 26 * HOUR
# What is odd but never rare for a day may be learned again.
_DOUBTED: Final = DAY


class Hold:
    """Whether a series is held: from its first rare window until five quiet ones in a row.

    Odd windows before that (not quiet, not rare) are doubted: a fault too small to be seen at
    once would else be learned before its evidence is complete.
    """

    __slots__ = ("at", "doubted", "quiet", "since")

    def __init__(
        self, since: int | None = None, quiet: int = 0, doubted: int | None = None, at: int = 0
    ) -> None:
        self.since = since
        self.quiet = quiet
        self.doubted = doubted
        self.at = at

    def step(self, at: int, score: float) -> None:
        """Take the score of the window that ended at ``at`` (ms UTC)."""
        self.at = at
        odd = score >= QUIET_BELOW
        self.doubted = (self.doubted or at) if odd else None
        if score >= OPENS_AT and self.since is None:
            self.since = at
        if self.since is not None:
            self.quiet = 0 if odd else self.quiet + 1
            if self.quiet >= QUIET_WINDOWS:
                self.release()

    def release(self) -> None:
        """Let the series learn again."""
        self.since, self.quiet, self.doubted = None, 0, None

    @property
    def held(self) -> bool:
        """Whether the baseline stands still."""
        return self.since is not None

    @property
    def teaches(self) -> bool:
        """Whether this window is like itself, or the first odd one, or one of very many odd ones.

        The first odd window has to teach: a series that bursts learns that from its bursts.
        """
        if self.since is not None and self.since != self.at:
            return False
        doubted = self.doubted
        return doubted is None or doubted == self.at or self.at - doubted > _DOUBTED

    def outlasted(self, *, young: bool = False) -> bool:
        """Whether the change is so old that it is the new normal."""
        longest = ADOPTED_AFTER_YOUNG if young else ADOPTED_AFTER
        return self.since is not None and self.at - self.since >= longest

    def state(self) -> tuple[int | None, int, int | None, int]:
        """Return the arguments that build it again."""
        return self.since, self.quiet, self.doubted, self.at
