"""`campaigns check` and `campaigns explain`: a file judged before it is in force, and in words."""

from pathlib import Path

import click

from streams.cli.group import as_json, example, existing_file, existing_folder, print_json, read


@click.group()
def campaigns() -> None:
    """Judge and explain campaigns files."""


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


@campaigns.command(
    epilog=example(
        "rekindle campaigns explain cart", "rekindle campaigns explain cart campaigns.toml"
    )
)
@click.argument("campaign", metavar="ID")
@click.argument("file", type=existing_file, required=False)
@as_json
def explain(*, campaign: str, file: str | None, as_json: bool) -> None:
    """Tell what the campaign ID of FILE does, in words and with FILE's own numbers.

    Without FILE it is the campaigns file that ships with rekindle.
    """
    from textwrap import wrap

    from rules import campaigns as files
    from streams.explaining import IN_ORDER, explained, status

    name = file or "the shipped campaigns file"
    policy = files.load(read(file) if file else files.shipped(), name)
    found = explained(policy, campaign, name)
    if as_json:
        print_json(found)
        return
    head = f"{found.campaign}, version {found.version}, as written in {found.file}. "
    click.echo("\n".join(wrap(head + status(policy, policy.campaigns[campaign]), 80)))
    for question, sentences in found.parts.items():
        click.echo(f"\n{question}")
        for number, sentence in enumerate(sentences, 1):
            mark = f"{number:>2}. " if question == IN_ORDER else "  - "
            click.echo("\n".join(wrap(sentence, 80, initial_indent=mark, subsequent_indent="    ")))
