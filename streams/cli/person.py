"""`user show` and `user why`: what is known about one person, and why she did or did not hear."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.cli.group import (
    as_json,
    example,
    existing_file,
    existing_path,
    print_json,
    read,
    run,
)

if TYPE_CHECKING:
    from streams.timeline.page import Since


@click.group()
def user() -> None:
    """Look at one person."""


@user.command(epilog=example("rekindle user show u-1029"))
@click.argument("user_id", metavar="USER")
@as_json
def show(*, user_id: str, as_json: bool) -> None:
    """Show the profile of USER as it stands in Redis; addresses only as known or not."""
    from streams import person
    from streams.settings import Deployment

    profile = run(person.profile(Deployment.from_process(), user_id))
    if as_json:
        print_json(person.as_json(profile))
    else:
        for text in person.lines(user_id, profile):
            click.echo(text)


def _since(_: click.Context, __: click.Parameter, value: str | None) -> "Since | None":
    from streams.timeline.page import since

    if value is None:
        return None
    try:
        return since(value)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from wrong


@user.command(
    epilog=example(
        "rekindle user why u-1029 --since 14d",
        "rekindle user why shopper-0017 --from demo-run",
        "rekindle user why u-1029 --from decisions.jsonl --campaigns campaigns.toml",
    )
)
@click.argument("user_id", metavar="USER")
@click.option(
    "--since",
    callback=_since,
    metavar="14d",
    help="Leave out what is older, counted from the end of the log, or than a day: 2026-10-20.",
)
@click.option(
    "--from",
    "recorded",
    type=existing_path,
    help="The folder of a recorded run, or a file of events or decisions.",
)
@click.option(
    "--campaigns",
    type=existing_file,
    help="The file that was in force, where the log does not have it.",
)
@as_json
def why(
    *,
    user_id: str,
    since: "Since | None",
    recorded: str | None,
    campaigns: str | None,
    as_json: bool,
) -> None:
    """Tell what USER did, what it armed, and each decision with its arithmetic, oldest first.

    Times are those of her own zone where it is known. Addresses never appear.
    """
    from rules import campaigns as files
    from streams.settings import Deployment
    from streams.timeline import sources
    from streams.timeline.page import Page

    content = read(campaigns) if campaigns else None
    if content is not None and campaigns is not None:
        files.load(content, campaigns)
    if recorded:
        life = run(sources.of_path(Path(recorded), user_id, content))
    else:
        life = run(sources.of_deployment(Deployment.from_process(), user_id, content))
    page = Page(life, since)
    if as_json:
        print_json(page.as_json())
        return
    for text in page.lines():
        click.echo(text)
