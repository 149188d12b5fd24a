"""Where a report reads from: a recorded run, or the topics of the deployment copied aside."""

import tempfile
from pathlib import Path

from engine.errors import Refused
from streams.log.topics import ARTEFACTS, DECISIONS, EVENTS
from streams.replay.copying import copy_aside
from streams.reporting.campaigns import Report, report
from streams.settings import Deployment


async def of_topics(deployment: Deployment, since: int | None = None) -> Report:
    """Report on what the topics hold now; raises Unavailable, Refused when there is nothing yet.

    The topics are copied aside first: events and decisions are read one after the other.
    """
    with tempfile.TemporaryDirectory(prefix="rekindle-report-") as aside:
        folder = Path(aside)
        await copy_aside(deployment, folder, (DECISIONS, EVENTS, ARTEFACTS))
        if not (folder / f"{DECISIONS}.jsonl").is_file():
            message = (
                f"Nothing was decided yet: {deployment.topic_prefix}{DECISIONS} at "
                f"{deployment.kafka} is empty. `rekindle doctor` says whether all is well."
            )
            raise Refused(message)
        return report(folder, since)


__all__ = ["of_topics"]
