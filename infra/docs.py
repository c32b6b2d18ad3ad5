"""Write the generated pages of docs/reference and params.schema.json anew: python infra/docs.py (`make docs`)."""

import sys
from pathlib import Path

import typer.main

from headrace.cli.main import app
from headrace.project import reference, schema

PROJECT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write what changed and say so."""
    schema.write(PROJECT)
    changed = reference.write(PROJECT, typer.main.get_command(app))
    sys.stdout.write("".join(f"{name}\n" for name in changed) or "docs/reference is up to date\n")


if __name__ == "__main__":
    main()
