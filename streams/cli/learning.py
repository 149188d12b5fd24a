"""`train` and `models`: a model from the shop's own decisions, and what was trained so far."""

from time import time

import click

from streams.cli.group import as_json, example, existing_folder, print_json, run


@click.command(
    epilog=example("rekindle train", "rekindle train --from demo-run --provenance simulator")
)
@click.option("--from", "recorded", type=existing_folder, help="A recorded run; else the topics.")
@click.option(
    "--provenance",
    type=click.Choice(["real", "simulator", "public"]),
    default="real",
    show_default=True,
    help="Where the behaviour comes from; a simulated model is refused by a real shop.",
)
@click.option("--name", default="reminder", show_default=True, help="The model's name.")
@click.option("--version", help="Its version; else the time it was made.")
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds, equal models.")
@click.option(
    "--without", multiple=True, metavar="FEATURE", help="Not to be shown to it; may be repeated."
)
@as_json
def train(
    *,
    recorded: str | None,
    provenance: str,
    name: str,
    version: str | None,
    seed: int,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a model on logged decisions and events, and keep it in REKINDLE_MODELS.

    Only decisions whose conversion window is over are used. `rekindle apply --model` puts it in
    force.
    """
    from streams import learning, model_words
    from streams.settings import Deployment

    entry = run(
        learning.train(
            Deployment.from_process(),
            recorded=recorded,
            provenance=provenance,
            name=name,
            version=version,
            seed=seed,
            without=without,
        )
    )
    if as_json:
        print_json({"sha256": entry.sha256, "path": str(entry.path), "manifest": entry.manifest})
        return
    for line in model_words.described(entry, _now()):
        click.echo(line)
    if entry.manifest.blocked:
        return
    reference = f"{entry.manifest.name}/{entry.manifest.version}"
    click.echo(f"put it in force with: rekindle apply --model {reference}")


def _now() -> int:
    return int(time() * 1000)


@click.group()
def models() -> None:
    """Look at trained models."""


@models.command("list", epilog=example("rekindle models list"))
@as_json
def list_(*, as_json: bool) -> None:
    """List the models in REKINDLE_MODELS, the newest of a name first."""
    from models.registry import Registry
    from streams import model_words
    from streams.settings import Deployment

    deployment = Deployment.from_process()
    entries = Registry(deployment.models).list()
    if as_json:
        print_json([{"sha256": entry.sha256, "manifest": entry.manifest} for entry in entries])
        return
    for line in (line for entry in entries for line in model_words.listed(entry, _now())):
        click.echo(line)
    if not entries:
        click.echo(f"no model under {deployment.models}: rekindle train makes one")


@models.command(
    epilog=example("rekindle models show reminder", "rekindle models show 3f2a… --markdown")
)
@click.argument("model")
@click.option("--markdown", is_flag=True, help="The whole model card as a Markdown page.")
@as_json
def show(*, model: str, markdown: bool, as_json: bool) -> None:
    """Show MODEL: name, name/version or sha256; its data, its measures and its warnings."""
    from models.card import card, card_markdown
    from models.registry import Registry
    from streams import model_words
    from streams.settings import Deployment

    if markdown and as_json:
        message = "--markdown and --json exclude each other."
        raise click.UsageError(message)
    entry = Registry(Deployment.from_process().models).find(model)
    if as_json:
        print_json({
            "sha256": entry.sha256,
            "path": str(entry.path),
            "manifest": entry.manifest,
            "card": card(entry.manifest),
        })  # fmt: skip
    elif markdown:
        click.echo(card_markdown(entry.manifest), nl=False)
    else:
        for line in model_words.described(entry, _now()):
            click.echo(line)


@models.command(
    epilog=example(
        "rekindle models compare reminder/v1 reminder/v2",
        "rekindle models compare reminder/v1 reminder/v2 --from demo-run",
    )
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--from", "recorded", type=existing_folder, help="A recorded run to score both on as well."
)
@as_json
def compare(*, first: str, second: str, recorded: str | None, as_json: bool) -> None:
    """Put models A and B side by side: name, name/version or sha256.

    With --from both are scored on the same decisions, those in which nothing was sent and from
    which neither has learned, and one sentence says which is better.
    """
    from models.registry import Registry
    from streams import learning, model_words
    from streams.settings import Deployment

    deployment = Deployment.from_process()
    registry = Registry(deployment.models)
    a, b = registry.find(first), registry.find(second)
    found = None
    if recorded is not None:
        found = learning.compare(deployment, first, second, recorded=recorded)
    if as_json:
        kept = [{"sha256": entry.sha256, "manifest": entry.manifest} for entry in (a, b)]
        print_json({"first": kept[0], "second": kept[1], "comparison": found})
        return
    for line in model_words.recorded_by_both(a.manifest, b.manifest, _now()):
        click.echo(line)
    if found is not None:
        click.echo()
        for line in model_words.on_the_same_rows(found):
            click.echo(line)


@models.command(
    epilog=example("rekindle models measure", "rekindle models measure --from demo-run")
)
@click.option("--from", "recorded", type=existing_folder, help="A recorded run; else the topics.")
@click.option(
    "--folds", type=click.IntRange(3, 20), default=5, show_default=True, help="Parts of the people."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds, equal folds.")
@as_json
def measure(*, recorded: str | None, folds: int, seed: int, as_json: bool) -> None:
    """Measure by cross-validation over people; no model is kept.

    For a shop whose newest fifth of the time holds too few orders to tell anything. It does not see
    how behaviour changes with time: `rekindle train` does.
    """
    from streams import learning, model_words
    from streams.settings import Deployment

    found = run(
        learning.measure(Deployment.from_process(), recorded=recorded, folds=folds, seed=seed)
    )
    if as_json:
        print_json(found)
        return
    click.echo(f"over {folds} folds of people, each predicted by models that never saw them:")
    for line in model_words.measures(found):
        click.echo(line)
