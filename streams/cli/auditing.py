"""`audit`: recompute from the topics alone whether every message was right."""

from typing import Any

import click

from streams.cli.group import MISTAKE, as_json, example, print_json, run


@click.command(
    epilog=example("REKINDLE_HTTP=127.0.0.1:6070 rekindle audit", "rekindle audit --once --json")
)
@click.option("--once", is_flag=True, help="Audit what the topics hold now, print it and end.")
@as_json
@click.pass_context
def audit(ctx: click.Context, *, once: bool, as_json: bool) -> None:
    """Recompute from the topics alone whether every message was right, until told to stop.

    A violation pauses its channel. With --once nothing is paused, and the exit code is 1 when
    something is wrong.
    """
    from streams.settings import Deployment

    if not once:
        if as_json:
            message = "--json goes with --once: what runs on tells its verdicts as metrics."
            raise click.UsageError(message)
        from streams.auditing import process

        process.run(Deployment.from_process())
        return
    from streams.auditing.once import once as audit_once

    found = run(audit_once(Deployment.from_process()))
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(_lines(found)))
    if found["violations"] or found["unbalanced"]:
        ctx.exit(MISTAKE)


def _lines(found: dict[str, Any]) -> list[str]:
    """Return the result as text: what was counted, then what is wrong."""
    begun = "from the log's beginning" if found["whole"] else "the log has lost its beginning"
    lines = [f"{found['records']} records, {begun}"]
    for channel, counts in sorted(found["verdicts"].items()):
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        lines.append(f"{channel:6} {told}")
    for campaign, sums in sorted(found["triggers"].items()):
        lines.append(
            f"{campaign}: {sums['armed']} armed = {sums['closed']} closed + {sums['open']} open, "
            f"{sums['unbalanced']} unbalanced"
        )
    lines += [
        f"{each['verdict']}: action {each['action_id']} on {each['channel']}, {each['at']}, "
        f"user #{each['user']}: {each['detail']}"
        for each in found["violations"]
    ]
    lines += [
        f"unbalanced: {each['campaign']}, user #{each['user']} {each['why']}"
        for each in found["unbalanced"]
    ]
    if found["unjudged"]:
        lines.append(f"{found['unjudged']} could not be judged: this log does not hold enough")
    return lines
