"""The page of the command line: what the program says of itself."""

from typing import Any

PLACE = "<!-- commands -->"


def commands() -> str:
    """A section for each command, its arguments and options in tables."""
    import click
    import typer.main

    from tighten.cli.app import app

    root = typer.main.get_command(app)
    context = click.Context(root, info_name="tighten")
    parts = []
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        parts += [f"## tighten {name}", "", command.help or "", "", f"```text\ntighten {name} {usage}\n```", ""]
        rows = [parameter.get_help_record(inner) for parameter in command.get_params(inner)]
        if shown := [row for row in rows if row and "--help" not in row[0]]:
            parts += ["| | |", "|---|---|", *(f"| `{what}` | {_cell(says)} |" for what, says in shown), ""]
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("[", "\\[")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the sections where the page asks for them."""
    return markdown.replace(PLACE, commands()) if PLACE in markdown else markdown
