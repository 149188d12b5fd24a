"""Everything in one process tree: servers that are not set, topics, settings, and who works.

That is one worker, and beside it an observer and an audit.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

from engine.errors import Refused
from streams import worker
from streams.applying import applied_before, put_in_force
from streams.demo.companions import Companions
from streams.demo.embedded import FETCH_WAIT, EmbeddedBroker, EmbeddedRedis
from streams.http.server import reserve
from streams.log import topics
from streams.settings import Deployment, shown
from streams.telling import Telling


def run(campaigns: tuple[str, bytes] | None, say: Callable[[str], None]) -> None:
    """Run until a signal ends it; embedded servers end with it and forget everything.

    ``campaigns``: name and content of a file to put in force; None = the shipped one, unless some
    campaigns file was applied to this Kafka before. Raises Refused and Unavailable.
    """
    set_ = {row.name for row in shown() if row.origin == "environment"}
    with ExitStack() as servers:
        asked = Deployment.from_process()
        with reserve(asked.http_host, asked.http_port):
            pass  # a second `up` is told at once, not when its servers have started
        ours: dict[str, str] = {}
        if "REKINDLE_KAFKA" not in set_:
            broker = servers.enter_context(EmbeddedBroker())
            ours |= {"KAFKA": broker.bootstrap, "EMBEDDED": "yes", "FETCH_WAIT": f"{FETCH_WAIT}ms"}
        if "REKINDLE_REDIS" not in set_:
            if "REKINDLE_KAFKA" in set_:
                message = (
                    "An embedded Redis starts empty and would read your Kafka from its beginning: "
                    "set REKINDLE_REDIS too, or neither."
                )
                raise Refused(message)
            ours["REDIS"] = servers.enter_context(EmbeddedRedis()).url
        deployment = Deployment.from_env(Deployment.of_child(**ours))
        summary = asyncio.run(_prepare(deployment, campaigns))
        for line in _said(deployment, summary):
            say(line)
        servers.enter_context(Companions(ours, deployment.worker_id))
        worker.run(deployment, beside=[Telling(deployment, say)])


async def _prepare(deployment: Deployment, campaigns: tuple[str, bytes] | None) -> str:
    """Make what is missing; returns what was put in force, empty when something was already."""
    if not deployment.embedded:
        await topics.create(deployment)
        if campaigns is None and await applied_before(deployment):
            return ""
    applied = await put_in_force(deployment, campaigns=campaigns)
    return applied.summary


def _said(deployment: Deployment, summary: str) -> list[str]:
    kind = "embedded, forgotten at the end" if deployment.embedded else "yours"
    said = [
        f"Kafka {deployment.kafka} ({kind}), HTTP http://{deployment.http}",
        f"live page: http://{deployment.http}/live",
        f"in force: {summary or 'what was applied before'}",
    ]
    if deployment.embedded:  # the ports are new each time, so nobody could have set them before
        said.append(
            f"other commands find it after: export REKINDLE_KAFKA={deployment.kafka} "
            f"REKINDLE_REDIS='{deployment.redis}' REKINDLE_EMBEDDED=yes"
        )
    return [*said, "Ctrl-C ends it."]
