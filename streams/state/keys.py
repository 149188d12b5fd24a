"""The keys in Redis, spelt once; all keys of a partition share the hash tag ``{p}``.

One spelling for a single server and a cluster: what is kept can be moved from one to the other.
Plain numbers spread well enough over few nodes (64 partitions: 21, 21, 22 over three, 16 each over
four); docs/how-to/run-on-a-redis-cluster.md has the table.
"""

from functools import lru_cache
from typing import Final

# The version of the layout of `m` and of what the keys hold; a reader refuses a newer one.
FORMAT: Final = 1


class Keys:
    """The keys of one partition.

    ``meta``  ``rk:{p}:m``  hash: token, o, crc, now, positions, settings, v
    ``wakes``  ``rk:{p}:w``  sorted set: user by due time, ms
    ``outbox``  ``rk:{p}:q``  stream: id ``offset-ordinal``; topic, key, value
    """

    def __init__(self, partition: int) -> None:
        """Spell them for one partition."""
        tag = f"rk:{{{partition}}}:".encode()
        self.meta: Final = tag + b"m"
        self.wakes: Final = tag + b"w"
        self.outbox: Final = tag + b"q"
        self._user: Final = tag + b"u:"
        self._addresses: Final = tag + b"a:"
        self._claim: Final = tag + b"c:"
        self._begun: Final = tag + b"h:"

    def user(self, user: str) -> bytes:
        """Return the key of a packed profile."""
        return self._user + user.encode()

    def addresses(self, user: str) -> bytes:
        """Return the key of packed addresses."""
        return self._addresses + user.encode()

    def claim(self, action_id: str) -> bytes:
        """Return the key of the claim of one action."""
        return self._claim + action_id.encode()

    def begun(self, channel: str) -> bytes:
        """Return the key of the hash of hand-overs begun on a channel."""
        return self._begun + channel.encode()


@lru_cache(maxsize=4096)
def keys_of(partition: int) -> Keys:
    """Return the keys of a partition."""
    return Keys(partition)


def watermark(topic: str, partition: int) -> str:
    """Return the key under which an intake lane tells how far it has come (ms).

    All of a topic share one hash tag: ticks read them together.
    """
    return f"rk:intake:{{{topic}}}:{partition}:w"


def lane(topic: str, partition: int) -> str:
    """Return the key of where an intake lane stands: hash g, o, crc."""
    return f"rk:intake:{{{topic}}}:{partition}:m"


def generation(topic: str) -> str:
    """Return the key of the generation of a source topic."""
    return f"rk:intake:{{{topic}}}:g"
