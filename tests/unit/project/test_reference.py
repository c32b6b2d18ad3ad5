from typing import Annotated, Literal

import typer
import typer.main
from pydantic import Field

from headrace import errors
from headrace.params import Section
from headrace.project import reference


class Crop(Section):
    """Cut a window."""

    padding: Annotated[int, Field(ge=0)] = 4
    """Pixels on each side."""


class Params(Section):
    """How samples are made."""

    mode: Literal["a", "b"] = "a"
    """Which | way."""
    crop: Crop | None = None
    rates: list[float]
    empty: str = ""


def test_params_are_told_key_by_key():
    page = reference.params_page({"augment": Params})

    assert "## augment\n\nHow samples are made.\n" in page
    assert "| `mode` | `a` or `b` | `a` | Which \\| way. |" in page
    assert "| `crop.padding` | integer, >= 0 | `4` | Pixels on each side. |" in page
    assert "| `rates` | list of number | required |  |" in page
    assert '| `empty` | string | `""` |  |' in page


def test_settings_are_told_by_the_variable_that_sets_them():
    """A name of the stack stays that name; ours have a prefix."""
    page = reference.settings_page()

    assert "| `MLFLOW_TRACKING_URI` | string |" in page
    assert "| `HEADRACE_DEVICE` | `cpu` or `cuda` or `mps` | `cpu` |" in page
    assert all(f"| `HEADRACE_{name}_PORT` | integer" in page for name in ("MLFLOW", "PREFECT", "OBJECT_STORE"))


def test_every_exit_code_is_told():
    """A script that reads them must be able to look them up."""
    page = reference.exit_codes_page()

    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.HeadraceError):
            assert f"| {kind.exit_code} |" in page
            assert f"`{name}`" in page


def test_commands_are_told_with_their_options():
    app = typer.Typer(name="tool", help="A tool.")
    inner = typer.Typer()
    app.add_typer(inner, name="recipe")

    @app.command()
    def hello(
        name: str, loud: bool = typer.Option(False, "--loud", help="Shout."), times: int = typer.Option(2, help="How often.")
    ):
        """Greet.

        Example: [bold]tool hello you[/]
        """

    @inner.command("use")
    def recipe_use(name: str):
        """Use one."""

    page = reference.commands_page(typer.main.get_command(app))

    assert "## tool hello\n\n    tool hello NAME [OPTIONS]\n\nGreet.\n\nExample: `tool hello you`\n" in page
    assert "| `--loud` | Shout. |  |" in page
    assert "| `--times` | How often. | `2` |" in page
    assert "## tool recipe use" in page
