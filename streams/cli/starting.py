"""`init`: the folder of a new shop."""

from pathlib import Path

import click

from streams.cli.group import as_json, example, print_json


@click.command(
    epilog=example(
        "rekindle init my-shop",
        'rekindle init my-shop --name "My Shop" --currency EUR --timezone Europe/Berlin',
    )
)
@click.argument("folder", metavar="DIR")
@click.option(
    "--name", help="What shoppers call the shop; texts sign with it. Default: DIR's name."
)
@click.option("--currency", default="CNY", show_default=True, help="Three capital letters.")
@click.option(
    "--timezone",
    default="Asia/Shanghai",
    show_default=True,
    help="Of people whose own zone nobody told.",
)
@as_json
def init(*, folder: str, name: str | None, currency: str, timezone: str, as_json: bool) -> None:
    """Make DIR, the folder of a new shop in dry run: campaigns, words, settings, compose file.

    DIR is new or empty; anything else is left alone. Nothing it makes can send a message.
    """
    from secrets import token_urlsafe

    from streams.starting.shop import Shop, start

    path = Path(folder)
    shop = Shop(name=name or path.resolve().name, currency=currency, timezone=timezone)
    written = start(path, shop, token_urlsafe(32))
    if as_json:
        print_json({"folder": folder, "files": written})
        return
    click.echo(f"{len(written)} files in {folder}: a shop in dry run, nothing it says is sent")
    click.echo("its README.md has the next five commands; the first two:")
    click.echo(f"  cd {folder}")
    click.echo("  rekindle campaigns check campaigns.toml --templates templates")
    click.echo("  rekindle campaigns explain cart campaigns.toml")
