"""The command `rekindle`: one module per group of commands, imported when it is used."""

from typing import Final

import click

from streams.cli.group import LazyGroup, example

# Where each command lives. Nothing heavy is imported before a command runs: `rekindle --help`
# answers in a fraction of a second.
COMMANDS: Final = {
    "demo": "streams.cli.running:demo",
    "init": "streams.cli.starting:init",
    "up": "streams.cli.running:up",
    "worker": "streams.cli.running:worker",
    "audit": "streams.cli.auditing:audit",
    "observe": "streams.cli.observing:observe",
    "anomalies": "streams.cli.anomalies:anomalies",
    "bench": "streams.cli.running:bench",
    "topics": "streams.cli.operating:topics",
    "apply": "streams.cli.operating:apply",
    "pause": "streams.cli.acting:pause",
    "resume": "streams.cli.acting:resume",
    "throttle": "streams.cli.acting:throttle",
    "controls": "streams.cli.acting:controls",
    "import": "streams.cli.operating:import_",
    "sources": "streams.cli.operating:sources",
    "move": "streams.cli.moving:move",
    "campaigns": "streams.cli.campaigns:campaigns",
    "replay": "streams.cli.replaying:replay",
    "report": "streams.cli.reporting:report",
    "train": "streams.cli.learning:train",
    "models": "streams.cli.learning:models",
    "trial": "streams.cli.trial:trial",
    "user": "streams.cli.person:user",
    "targets": "streams.cli.scraping:targets",
    "settings": "streams.cli.health:settings",
    "doctor": "streams.cli.health:doctor",
}


@click.group(
    cls=LazyGroup,
    commands_at=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example("rekindle demo", "rekindle campaigns check campaigns.toml"),
)
@click.version_option(package_name="rekindle", message="rekindle %(version)s")
def main() -> None:
    """Behaviour events in, frequency-capped and consented messages out.

    Settings come from REKINDLE_ variables; `rekindle settings` lists them.
    """


__all__ = ["main"]
