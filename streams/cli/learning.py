"""`train` and `models`: a model from the shop's own decisions, and what was trained so far."""

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
@as_json
def train(
    *,
    recorded: str | None,
    provenance: str,
    name: str,
    version: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a model on logged decisions and events, and keep it in REKINDLE_MODELS.

    Only decisions whose conversion window is over are used. `rekindle apply --model` puts it in
    force.
    """
    from streams import learning
    from streams.settings import Deployment

    entry = run(
        learning.train(
            Deployment.from_process(),
            recorded=recorded,
            provenance=provenance,
            name=name,
            version=version,
            seed=seed,
        )
    )
    if as_json:
        print_json({"sha256": entry.sha256, "path": str(entry.path), "manifest": entry.manifest})
        return
    for line in learning.described(entry):
        click.echo(line)
    reference = f"{entry.manifest.name}/{entry.manifest.version}"
    click.echo(f"put it in force with: rekindle apply --model {reference}")


@click.group()
def models() -> None:
    """Look at trained models."""


@models.command("list", epilog=example("rekindle models list"))
@as_json
def list_(*, as_json: bool) -> None:
    """List the models in REKINDLE_MODELS, the newest of a name first."""
    from models.registry import Registry
    from streams import learning
    from streams.settings import Deployment

    deployment = Deployment.from_process()
    entries = Registry(deployment.models).list()
    if as_json:
        print_json([{"sha256": entry.sha256, "manifest": entry.manifest} for entry in entries])
        return
    for entry in entries:
        click.echo(learning.one_line(entry))
    if not entries:
        click.echo(f"no model under {deployment.models}: rekindle train makes one")


@models.command(epilog=example("rekindle models show reminder", "rekindle models show 3f2a…"))
@click.argument("model")
@as_json
def show(*, model: str, as_json: bool) -> None:
    """Show MODEL: name, name/version or sha256; its data, its measures and its warnings."""
    from models.registry import Registry
    from streams import learning
    from streams.settings import Deployment

    entry = Registry(Deployment.from_process().models).find(model)
    if as_json:
        print_json({"sha256": entry.sha256, "path": str(entry.path), "manifest": entry.manifest})
        return
    for line in learning.described(entry):
        click.echo(line)
