"""What an observer of a real shop told last, as the live page reads it."""

import asyncio

from monitoring.figures.told import Facts, of_facts
from streams.fleet import read
from streams.state.connection import RedisConnection
from tests.support.running import Shop


def figures_of(shop: Shop, name: str) -> Facts | None:
    """Return the figures of the observer of this name; None = it has told none yet."""

    async def told() -> Facts | None:
        redis = RedisConnection(shop.deployment.redis)
        try:
            for summary in await read(redis):
                if summary.name == name and summary.facts.get("until"):
                    return of_facts(summary.facts)
            return None
        finally:
            await redis.close()

    return asyncio.run(told())
