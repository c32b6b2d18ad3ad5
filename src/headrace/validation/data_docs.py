"""Data Docs of one validation as one page, rendered from the result JSON by Great Expectations' own renderer.

Not a stage: it runs after the DAG, and after a failure too. The engine's stock page loads scripts, styles and fonts from seven
hosts; ours frames the same sections with a style sheet of its own and no script at all.
"""

import html
import json
from pathlib import Path
from typing import Any

from great_expectations.core.expectation_validation_result import (
    ExpectationSuiteValidationResult,
    ExpectationSuiteValidationResultSchema,
)
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaPageView

from headrace.errors import DataError
from headrace.storage.local import write_text

TEMPLATE = "data_docs_page.j2"


def render(results: Path, out: Path) -> None:
    """Write the page for a results file of the validate stage.

    Args:
        results: reports/validation_results.json, or what a failed stage left of it.
        out: the HTML file.

    Raises:
        DataError: the results file is missing or is not one of ours.
    """
    try:
        content = json.loads(results.read_text(encoding="utf-8"))
        found = _load(content)
    except FileNotFoundError:
        raise DataError(f"{results} does not exist: nothing was validated. Run the validate stage.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{results} is no validation result ({type(error).__name__}: {error}). Run the validate stage again."
        ) from None
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(found)
    # The first section links to pages of a site we do not make, the last holds batch markers and run times the results lack.
    document.sections = document.sections[1:-1]
    failed = [{**result["meta"], **result["expectation_config"]} for result in content["results"] if not result["success"]]
    view = DefaultJinjaPageView(custom_views_directory=str(Path(__file__).parent))
    page = view.render(  # type: ignore[no-untyped-call]
        document, template=TEMPLATE, counts=content["meta"], statistics=content["statistics"], failed=failed
    )
    write_text(out, page)


def _load(content: dict[str, Any]) -> ExpectationSuiteValidationResult:
    # Great Expectations 1.24 puts unexpected values into its tables as they are. They come from the data and may hold a script.
    results = [{**result, "result": _escaped(result["result"])} for result in content["results"]]
    loaded = ExpectationSuiteValidationResultSchema().load({**content, "results": results, "meta": {}})
    return ExpectationSuiteValidationResult(**loaded) if isinstance(loaded, dict) else loaded


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return html.escape(value) if isinstance(value, str) else value
