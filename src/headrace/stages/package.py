"""Make one folder that serves: the program with its preprocessing, its description, and a manifest of all of it.

Run by the DAG: python -m headrace.stages package --model models/candidate --evaluation reports/evaluate.json
    --examples data/splits/validation --card model_card.md --out models/package
"""

import json
from pathlib import Path

from pydantic import Field

from headrace.errors import DataError, ParamsError
from headrace.evaluation.card import render_card
from headrace.fingerprint import file_sha256
from headrace.params import Out, Report, Section
from headrace.storage.local import write_bytes, write_json, write_text
from headrace.storage.manifest import NAME as MANIFEST_NAME
from headrace.storage.manifest import write_manifest
from headrace.training import package
from headrace.training.network_package import pack_network
from headrace.training.onnx_candidate import PROGRAM_NAME as ONNX
from headrace.training.onnx_package import pack_onnx


class Params(Section):
    """How the program is checked before it is packaged."""

    tolerance: float = Field(default=1e-5, gt=0)
    """Largest difference of what the program and the trained network give: of probabilities, of a language model log-probabilities, of
    a number to predict in its own unit."""
    check_records: int = Field(default=256, ge=2)
    """Real records they are compared on."""
    example_records: int = Field(default=2, ge=1, le=100)
    """Of these, how many are kept as input example."""


class PackageReport(Report):
    """What is in the package."""

    headline: str
    """For the terminal."""
    digest: str
    """sha256 of manifest.json, which has the sha256 of every file."""
    fingerprint: str
    """Of the training that made the model."""
    files: dict[str, int]
    """Bytes of each file."""
    requirements: list[str]
    checked_records: int
    largest_difference: float
    """Between the program's probabilities and the trained network's."""


def run(params: Params, *, model: Path, evaluation: Path, examples: Path, card: Path, out: Out) -> PackageReport:
    """Export, compare with the trained model on real records, describe, seal."""
    pack = pack_onnx if (model / ONNX).exists() else pack_network
    packed = pack(
        model,
        examples,
        tolerance=params.tolerance,
        check_records=params.check_records,
        example_records=params.example_records,
    )
    info, judged = packed.info, _read_json(evaluation)
    if info.classes and params.tolerance >= 1:
        raise ParamsError(
            f"package.tolerance is {params.tolerance:g}: no two probabilities differ by more than 1. Leave it at 1.0e-5."
        )
    if judged.get("fingerprint", info.fingerprint) != info.fingerprint:
        raise DataError(
            f"{evaluation} judges another model than {model} (their fingerprints differ). Run the stage `evaluate` again."
        )
    out.mkdir(parents=True)
    for name, content in packed.files.items():
        write_bytes(out / name, content)
    write_json(out / "signature.json", package.signature(info, packed.output))
    kept = params.example_records
    example = package.input_example(packed.ids[:kept], packed.inputs[:kept], packed.outputs, tolerance=params.tolerance)
    write_text(out / "input_example.json", package.compact_json(example))
    requirements = package.requirements(packed)
    write_text(out / "requirements.txt", requirements)
    written = card.read_text(encoding="utf-8") if card.exists() else ""
    write_text(out / "README.md", render_card(written, model=info.model_dump(mode="json"), evaluation=judged))
    files = write_manifest(out)
    exactness = f"to {packed.difference:.0e}" if packed.difference else "exactly"
    return PackageReport(
        headline=f"{sum(each['bytes'] for each in files.values()) / 1e6:.1f} MB, agrees with the {packed.compared_with} {exactness}",
        digest=file_sha256(out / MANIFEST_NAME),
        fingerprint=info.fingerprint,
        files={name: each["bytes"] for name, each in files.items()},
        requirements=requirements.split(),
        checked_records=len(packed.ids),
        largest_difference=float(f"{packed.difference:.1e}"),
    )


def _read_json(path: Path) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run the stage `evaluate`.") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}. Run the stage `evaluate` again.") from None
    return found
