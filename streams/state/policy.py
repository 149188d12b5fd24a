"""What a Redis must be before we keep state in it: there, new enough, and never evicting."""

from collections.abc import Mapping

from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from engine.errors import Refused, Unavailable
from streams.state.connection import RedisConnection

# XTRIM MINID, on which the outbox rests, came with 6.2.
OLDEST = (6, 2)


async def check(connection: RedisConnection) -> None:
    """Raise Refused, one sentence that says how to mend it, unless this Redis can keep our state.

    An evicting server would silently lose wake-ups, claims and what waits in the outbox. In a
    cluster every node is looked at, replicas too: any of them may be promoted.
    """
    for name, facts in (await servers(connection)).items():
        _fit(f"Redis {name}" if name else "Redis", facts, clustered=connection.clustered)
    if missing := await connection.uncovered():
        message = (
            f"{missing} of the 16384 slots of the Redis Cluster have no node: see redis-cli "
            "--cluster check, and give them one with redis-cli --cluster fix."
        )
        raise Refused(message)


async def servers(connection: RedisConnection) -> dict[str, dict[str, str]]:
    """Return what INFO says, by host:port; a single server has the name "". Raises Refused."""
    try:
        told = await connection.everywhere("INFO")
    except Unavailable as away:
        raise Refused(_sentence(away)) from away
    except NoPermissionError as denied:
        message = f"Redis does not let this user read INFO ({denied}): allow it by ACL (+info)."
        raise Refused(message) from denied
    except ResponseError as error:
        if connection.clustered and "cluster support disabled" in str(error):
            message = (
                "Redis is no cluster: write REKINDLE_REDIS=redis://host:port/0 without +cluster, "
                "or set cluster-enabled yes in redis.conf."
            )
            raise Refused(message) from error
        raise
    return {
        name: {str(fact): str(value) for fact, value in facts.items()}
        for name, facts in told.items()
    }


def _fit(name: str, facts: Mapping[str, str], *, clustered: bool) -> None:
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        message = f"{name} {version} is too old: run Redis {oldest} or newer, or Valkey."
        raise Refused(message)
    if not clustered and facts.get("cluster_enabled") == "1":
        message = (
            "Redis is a node of a cluster: write REKINDLE_REDIS=redis+cluster://host:port, with "
            "one or more of its nodes."
        )
        raise Refused(message)
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        message = (
            f"{name} evicts keys when memory is short (maxmemory-policy {policy}) and would lose "
            "wake-ups: run redis-cli CONFIG SET maxmemory-policy noeviction, and set it in "
            "redis.conf."
        )
        raise Refused(message)


def _sentence(away: Unavailable) -> str:
    if isinstance(away.__cause__, AuthenticationError):
        return f"Redis refuses the password ({away.__cause__}): mend REKINDLE_REDIS."
    return f"Redis cannot be used ({away}): start it, or point REKINDLE_REDIS at one that runs."


__all__ = ["OLDEST", "check", "servers"]
