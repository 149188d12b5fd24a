"""`settings` and `doctor`: what is set, and whether everything this product stands on is well."""

import click

from streams.cli.group import MISTAKE, as_json, example, print_json, run


@click.command(epilog=example("REKINDLE_KAFKA=broker:9092 rekindle settings"))
@click.option("--markdown", is_flag=True, help="The reference page docs/reference/settings.md.")
@as_json
def settings(*, markdown: bool, as_json: bool) -> None:
    """List every setting with its value; secrets only as set or not set.

    Exit code 1 when a value cannot be used or a name is unknown.
    """
    from streams import settings as table

    if markdown:
        click.echo(table.markdown(), nl=False)
        return
    rows = table.shown()
    if as_json:
        print_json(rows)
    else:
        width = max(len(row.name) for row in rows)
        for row in rows:
            mark = "*" if row.origin == "environment" else " "
            click.echo(f"{mark} {row.name:{width}}  {row.value or 'not set'}")
            click.echo(f"  {'':{width}}    {row.meaning}")
        click.echo("\n* from the environment")
    table.Deployment.from_process()


@click.command(epilog=example("rekindle doctor"))
@as_json
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Look at Kafka, topics, Redis, clock, campaigns, model and pauses: one line each.

    Also whether Kafka keeps enough and safely enough for a restore of Redis.

    Exit code 1 if any is bad.
    """
    from streams.doctor import examine
    from streams.settings import Deployment

    findings = run(examine(Deployment.from_process()))
    if as_json:
        print_json(findings)
    else:
        width = max(len(finding.about) for finding in findings)
        for finding in findings:
            word = "ok " if finding.ok else "BAD"
            click.echo(f"{word}  {finding.about:{width}}  {finding.sentence}")
    if not all(finding.ok for finding in findings):
        ctx.exit(MISTAKE)
