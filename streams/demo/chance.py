"""The lots of one simulated world."""

from engine.draws import draw


class Chance:
    """Lots of one world: keyed hashes of stable ids, so that asking twice gives the same answer."""

    def __init__(self, seed: int) -> None:
        """``seed`` chooses the world."""
        self._seed = str(seed)

    def lot(self, purpose: str, key: str) -> float:
        """Return a uniform number in [0, 1) for this purpose and key."""
        return draw("demo-shop", self._seed, purpose, key)

    def among(self, count: int, purpose: str, key: str) -> int:
        """Return a uniform whole number from 0 to ``count`` - 1."""
        return int(self.lot(purpose, key) * count)

    def between(self, low: float, high: float, purpose: str, key: str) -> float:
        """Return a uniform number in [low, high)."""
        return low + (high - low) * self.lot(purpose, key)


__all__ = ["Chance"]
