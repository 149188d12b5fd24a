"""`campaigns check`: a campaigns file and its words, judged before they are put in force."""

from pathlib import Path

import click

from streams.cli.group import as_json, example, existing_file, existing_folder, print_json, read


@click.group()
def campaigns() -> None:
    """Judge campaigns files."""


@campaigns.command(
    epilog=example(
        "rekindle campaigns check campaigns.toml",
        "rekindle campaigns check campaigns.toml --templates my-templates",
    )
)
@click.argument("file", type=existing_file)
@click.option(
    "--templates",
    type=existing_folder,
    help="A folder of templates laid over the shipped ones: <template>/<locale>/<channel>.liquid.",
)
@as_json
def check(*, file: str, templates: str | None, as_json: bool) -> None:
    """Check a campaigns FILE and every template with four samples; print the shares it sets."""
    from rules import templates as words
    from streams.campaigns_file import checked, summary
    from streams.delivery.lint import notes

    artefact = words.artefact(Path(templates) if templates else None)
    policy = checked(read(file), file, artefact)
    said = summary(policy)
    hints = notes(artefact)
    unedited = words.unedited(artefact)
    if unedited:
        hints.append(
            f"{len(unedited)} templates still point to {words.PLACEHOLDER}, such as {unedited[0]}: "
            "put your shop's address into your own with --templates before you go live."
        )
    if as_json:
        print_json({"ok": True, "summary": said, "notes": hints})
        return
    click.echo(f"ok: {said}")
    for hint in hints:
        click.echo(f"note: {hint}")
