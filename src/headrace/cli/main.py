"""Entry point of `headrace`: all commands, and one message and an exit code instead of a stack trace."""

import sys
from typing import NoReturn

from headrace.cli import models, pipeline, project, schedules, services, sources, storage, suite
from headrace.cli.app import State, app
from headrace.errors import ConfigError, HeadraceError

STOPPED = 130

for module in (pipeline, project, sources, suite, storage, models, services, schedules):  # the order of `headrace --help`
    app.add_typer(module.commands)


def main() -> NoReturn:
    """Run the command that the arguments name; ends the process."""
    try:
        code = app(standalone_mode=False)
        if code == STOPPED:  # how typer hands on a Ctrl-C
            _stopped()
        sys.exit(code if isinstance(code, int) else 0)
    except HeadraceError as error:
        if State.debug:
            raise
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except Exception as error:
        if isinstance(error, OSError) and _is_refused(error) and not State.debug:
            sys.stderr.write(
                f"error: {error.filename} cannot be written: {error.strerror}. Make room or give permission there, or work elsewhere.\n"
            )
            sys.exit(ConfigError.exit_code)
        # A wrong command or option. Typer brings its own copy of click, so the class is known by what it can do.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()
            sys.exit(error.exit_code)
        if State.debug:
            raise
        sys.stderr.write(f"unexpected {type(error).__name__}: {error}\nThis is a fault of the program; --debug shows where.\n")
        sys.exit(1)


def _is_refused(error: OSError) -> bool:
    """Whether a disk is full or read-only, or a permission is missing: the machine's fault, not the program's."""
    from headrace.services.state import UNWRITABLE

    return error.filename is not None and error.errno in UNWRITABLE


def _stopped() -> NoReturn:
    sys.stderr.write("\nstopped. Run the same command again to go on.\n")
    sys.exit(STOPPED)
