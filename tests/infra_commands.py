"""Hold commands against the parsers of the programs they are for: python -m tests.infra_commands < commands.json > faults.json.

A process of its own: MLflow and Prefect warn and set variables when they are imported.
"""

import json
import os
import sys


def fault(command: list[str]) -> str:
    """What the program would say to the command; '' for nothing."""
    program, *rest = command
    if program == "mlflow":
        return _mlflow(rest)
    if program == "prefect":
        return _prefect(rest)
    return f"unknown program {program}"


def _mlflow(words: list[str]) -> str:
    import click
    from mlflow.cli import cli

    group = cli
    try:
        name, found, rest = group.resolve_command(click.Context(group), list(words))
        while isinstance(found, click.Group):
            name, found, rest = found.resolve_command(click.Context(found), rest)
        found.make_context(name, rest)
    except click.ClickException as error:
        return error.format_message()
    return ""


def _prefect(words: list[str]) -> str:
    from prefect.cli._app import _app

    try:
        _app.parse_args(list(words), print_error=False, exit_on_error=False)
    except Exception as error:  # noqa: BLE001  # cyclopts has one class for each mistake
        return str(error)
    return ""


def variables() -> list[str]:
    """Every variable that MLflow and Prefect say they read."""
    import click
    import mlflow.environment_variables
    from mlflow.cli import cli
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_valid_setting_names

    server = cli.get_command(click.Context(cli), "server")
    options = {each.envvar for each in server.params if isinstance(each.envvar, str)}
    names = {getattr(each, "name", "") for each in vars(mlflow.environment_variables).values()}
    return sorted(options | {each for each in names if isinstance(each, str)} | _get_valid_setting_names(Settings))


if __name__ == "__main__":
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "PREFECT_API"))]:
        del os.environ[name]  # an option may come from a variable
    asked = json.load(sys.stdin)
    json.dump({"faults": [fault(command) for command in asked], "variables": variables()}, sys.stdout)
