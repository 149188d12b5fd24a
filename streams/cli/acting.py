"""`pause`, `resume`, `throttle`, `controls`: what an operator does while something is wrong."""

import getpass
from typing import Any

import click

from streams.cli.group import Duration, as_json, example, print_json, run

_reason = click.option("--reason", default="", metavar="TEXT", help="Why; everybody will read it.")
_by = click.option("--by", default=None, metavar="NAME", help="Who; default: your login name.")


_for = click.option(
    "--for",
    "lasts",
    type=Duration(),
    metavar="2h",
    help="It ends by itself after so long; default: when somebody ends it.",
)


def _act(
    action: str,
    name: str,
    *,
    by: str | None,
    reason: str,
    as_json: bool,
    share: float = 1.0,
    lasts: int | None = None,
) -> None:
    from streams import acting
    from streams.settings import Deployment

    wish = acting.Wish(action, name, by or _login(), reason, share=share, lasts=lasts)
    done = run(acting.carry_out(Deployment.from_process(), wish))
    if as_json:
        print_json(acting.as_told(done))
    else:
        click.echo(acting.sentence(done))


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for its user
        return "unknown"


@click.command(
    epilog=example(
        "rekindle pause sms",
        'rekindle pause email --reason "bounces after the import" --for 2h',
        "rekindle pause campaign:cart",
    )
)
@click.argument("name", metavar="CHANNEL|CAMPAIGN")
@_reason
@_by
@_for
@as_json
def pause(*, name: str, reason: str, by: str | None, lasts: int | None, as_json: bool) -> None:
    """Stop a channel or a campaign: what becomes due meanwhile is silenced, not kept for later.

    What is decided already is refused at its hand-over within 2 s, whatever the log's lag.
    """
    _act("pause", name, by=by, reason=reason, lasts=lasts, as_json=as_json)


@click.command(epilog=example("rekindle resume sms", "rekindle resume campaign:cart"))
@click.argument("name", metavar="CHANNEL|CAMPAIGN")
@_reason
@_by
@as_json
def resume(*, name: str, reason: str, by: str | None, as_json: bool) -> None:
    """Let a paused channel or campaign speak again; it never releases a burst.

    A throttle stays: `rekindle throttle CHANNEL 1` lifts it.
    """
    _act("resume", name, by=by, reason=reason, as_json=as_json)


@click.command(
    epilog=example(
        'rekindle throttle email 0.5 --reason "warming up a new sender" --for 24h',
        "rekindle throttle email 1",
    )
)
@click.argument("channel", metavar="CHANNEL")
@click.argument("share", type=click.FloatRange(0.1, 1.0))
@_reason
@_by
@_for
@as_json
def throttle(
    *, channel: str, share: float, reason: str, by: str | None, lasts: int | None, as_json: bool
) -> None:
    """Let a SHARE of a channel's messages through, 0.1 to 1, by lot; the rest is silenced.

    1 lifts it. Another channel of the campaign may speak instead.
    """
    _act("throttle", channel, by=by, reason=reason, share=share, lasts=lasts, as_json=as_json)


@click.command(epilog=example("rekindle controls", "rekindle controls --last 50 --json"))
@click.option(
    "--last",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    help="Changes to read back from the log.",
)
@as_json
def controls(*, last: int, as_json: bool) -> None:
    """Tell what is paused or throttled now, by whom, why and until when, and the last changes."""
    from streams import standing
    from streams.settings import Deployment

    deployment = Deployment.from_process()

    async def look() -> tuple[standing.Standing, list[standing.Change]]:
        changes = await standing.changes(deployment, last) if last else []
        return await standing.standing(deployment), changes

    now, changes = run(look())
    if as_json:
        shown: dict[str, Any] = {
            "now": now.now,
            "partitions": now.partitions,
            "in_force": now.rows,
            "changes": changes,
        }
        print_json(shown)
        return
    lines = [standing.told(row, now.partitions) for row in now.rows]
    click.echo("\n".join(lines) or "nothing is paused or throttled")
    if changes:
        click.echo("\nlast changes:")
        click.echo("\n".join(f"  {standing.told_change(one)}" for one in changes))
