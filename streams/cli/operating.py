"""`topics`, `apply`, `import`, `sources`: the operator's hand."""

from pathlib import Path

import click

from streams.cli.group import (
    MISTAKE,
    as_json,
    example,
    existing_file,
    existing_folder,
    print_json,
    read,
    run,
)


@click.group()
def topics() -> None:
    """Create and check the Kafka topics."""


@topics.command(epilog=example("rekindle topics create", "rekindle topics create --partitions 4"))
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    help="Of events, decisions and actions; chosen once, because state lives by partition.",
)
@as_json
def create(*, partitions: int, as_json: bool) -> None:
    """Create the topics that are missing; existing ones are left as they are."""
    from streams.log import topics as log_topics
    from streams.settings import Deployment

    made = run(log_topics.create(Deployment.from_process(), partitions))
    if as_json:
        print_json({"created": made})
    else:
        click.echo("\n".join(f"created {name}" for name in made) or "nothing was missing")


@topics.command(epilog=example("rekindle topics check"))
@as_json
@click.pass_context
def check(ctx: click.Context, *, as_json: bool) -> None:
    """Say what is wrong with the topics; exit code 1 if anything is."""
    from streams.log import topics as log_topics
    from streams.settings import Deployment

    problems = run(log_topics.check(Deployment.from_process()))
    if as_json:
        print_json({"problems": problems})
    else:
        click.echo("\n".join(problems) or "ok: every topic is there and as it must be")
    if problems:
        ctx.exit(MISTAKE)


@click.command(
    epilog=example(
        "rekindle apply",
        "rekindle apply campaigns.toml --templates my-templates",
        "rekindle apply --model reminder",
    )
)
@click.argument("campaigns", metavar="[FILE]", type=existing_file, required=False)
@click.option(
    "--templates",
    type=existing_folder,
    help="A folder of templates, laid over the shipped ones.",
)
@click.option("--model", metavar="MODEL", help="A model of `rekindle models list`, or a file.")
@click.option(
    "--if-none",
    is_flag=True,
    help="Do nothing where something was applied before: for the first start of a deployment.",
)
@as_json
def apply(
    *,
    campaigns: str | None,
    templates: str | None,
    model: str | None,
    if_none: bool,
    as_json: bool,
) -> None:
    """Put a campaigns FILE, words and a model in force, in every partition.

    Only what is named changes. Nothing named: the shipped campaigns file and templates. Applying
    again changes nothing.
    """
    from streams.applying import applied_before, put_in_force
    from streams.settings import Deployment

    deployment = Deployment.from_process()
    if if_none and run(applied_before(deployment)):
        click.echo("something was applied before: left as it is", err=True)
        return
    applied = run(
        put_in_force(
            deployment,
            campaigns=(campaigns, read(campaigns)) if campaigns else None,
            templates=Path(templates) if templates else None,
            model=model,
        )
    )
    if as_json:
        print_json(applied)
        return
    for kind in ("campaigns", "templates", "model"):
        name = getattr(applied, kind)
        if name is not None:
            click.echo(f"{kind} {name[:12]} in force in {applied.partitions} partitions")
    if applied.summary:
        click.echo(applied.summary)


@click.command(
    "import",
    epilog=example(
        "rekindle import unsubscribes.csv --kind opt_out",
        "rekindle import orders.jsonl --check",
    ),
)
@click.argument("file", type=existing_file)
@click.option(
    "--kind",
    type=click.Choice(["customer", "order", "consent", "opt_out"]),
    help="What every line is, if no column says it.",
)
@click.option("--check", "only_check", is_flag=True, help="Read the file and load nothing.")
@click.option("--skip-bad", is_flag=True, help="Load the good lines although others are bad.")
@as_json
def import_(
    *, file: str, kind: str | None, only_check: bool, skip_bad: bool, as_json: bool
) -> None:
    """Bring history into a live shop: customers, past orders, consents and opt-outs.

    FILE is JSONL or CSV. It arms nothing and sends nothing; bringing it in again changes nothing.
    A bad line stops it before anything is loaded. Import the unsubscribe list before the first day.
    """
    from streams import history
    from streams.settings import Deployment

    deployment = None if only_check else Deployment.from_process()
    brought = run(history.bring(deployment, Path(file), kind, skip_bad=skip_bad))
    if as_json:
        print_json(brought)
        return
    word = "loaded" if brought.loaded else "would load"
    for name, count in brought.events.items():
        click.echo(f"{word} {count} {name}")
    for problem in brought.problems:
        click.echo(f"skipped: {problem}")
    if brought.ignored:
        click.echo(f"columns not used: {', '.join(brought.ignored)}")


@click.group()
def sources() -> None:
    """Look after the topics the apps publish to."""


@sources.command(epilog=example("rekindle sources reset rekindle.events.raw"))
@click.argument("topic")
@as_json
def reset(*, topic: str, as_json: bool) -> None:
    """Begin a new generation of a source TOPIC that was created anew.

    Without it the intake stops on such a topic, because its records look as if they had been read.
    """
    from streams.applying import reset_source
    from streams.settings import Deployment

    generation = run(reset_source(Deployment.from_process(), topic))
    if as_json:
        print_json({"topic": topic, "generation": generation})
    else:
        click.echo(
            f"{topic} is read from its beginning as generation {generation}; restart the workers "
            "that run intake"
        )
