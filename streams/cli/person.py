"""`user show` and `user why`: what is known about one person, and why she did or did not hear."""

import click

from streams.cli.group import as_json, example, existing_file, print_json, read, run


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


@user.command(
    epilog=example(
        "rekindle user why u-1029",
        "rekindle user why u-1029 --from demo-run/decisions.jsonl --campaigns campaigns.toml",
    )
)
@click.argument("user_id", metavar="USER")
@click.option("--from", "recorded", type=existing_file, help="Read decisions.jsonl of a run.")
@click.option(
    "--campaigns",
    type=existing_file,
    help="The file that was in force: takes the worth of a message apart.",
)
@as_json
def why(*, user_id: str, recorded: str | None, campaigns: str | None, as_json: bool) -> None:
    """Tell every decision about USER in one sentence, oldest first."""
    from rules import campaigns as files
    from streams import person
    from streams.sentence import line
    from streams.settings import Deployment

    policy = files.load(read(campaigns), campaigns) if campaigns else None
    if recorded:
        decisions = person.recorded_decisions(recorded, user_id)
    else:
        decisions = run(person.decisions(Deployment.from_process(), user_id))
    if as_json:
        print_json(decisions)
        return
    for decision in decisions:
        click.echo(line(decision, policy))
    if not decisions:
        click.echo(f"no decision about {user_id}: nothing of hers ever became due or was ended")
