"""What a Redis must be before we keep state in it: there, new enough, and never evicting."""

from redis.exceptions import AuthenticationError, NoPermissionError

from engine.errors import Refused, Unavailable
from streams.state.connection import RedisConnection

# XTRIM MINID, on which the outbox rests, came with 6.2.
OLDEST = (6, 2)


async def check(connection: RedisConnection) -> None:
    """Raise Refused, one sentence that says how to mend it, unless this Redis can keep our state.

    An evicting server would silently lose wake-ups, claims and what waits in the outbox.
    """
    try:
        told = await connection.call("INFO")
    except Unavailable as away:
        raise Refused(_sentence(away)) from away
    except NoPermissionError as denied:
        message = f"Redis does not let this user read INFO ({denied}): allow it by ACL (+info)."
        raise Refused(message) from denied
    facts = {str(name): str(value) for name, value in told.items()}
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        message = f"Redis {version} is too old: run Redis {oldest} or newer, or Valkey."
        raise Refused(message)
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        message = (
            f"Redis evicts keys when memory is short (maxmemory-policy {policy}) and would lose "
            "wake-ups: run redis-cli CONFIG SET maxmemory-policy noeviction, and set it in "
            "redis.conf."
        )
        raise Refused(message)


def _sentence(away: Unavailable) -> str:
    if isinstance(away.__cause__, AuthenticationError):
        return f"Redis refuses the password ({away.__cause__}): mend REKINDLE_REDIS."
    return f"Redis cannot be used ({away}): start it, or point REKINDLE_REDIS at one that runs."


__all__ = ["OLDEST", "check"]
