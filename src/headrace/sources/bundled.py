"""Data sets that ship with packages of the environment."""

import gzip
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from headrace.errors import ParamsError, SourceError
from headrace.fingerprint import file_sha256
from headrace.params import did_you_mean
from headrace.sources.store import Store


@dataclass(frozen=True, slots=True)
class BundledFile:
    """One file inside an installed package, pinned: another release of the package may bring other bytes."""

    package: str
    path: str
    size: int
    sha256: str
    beside: str = ""
    """A second file of the package, gzipped as the first: each of its lines goes behind one of the first. Size and digest are of both."""

    @property
    def name(self) -> str:
        """File name."""
        name = self.path.rpartition("/")[2]
        return name.removesuffix(".gz") if self.beside else name


BUNDLED = {
    "digits": BundledFile(
        "sklearn", "datasets/data/digits.csv.gz", 57_523, "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
    ),
    "diabetes": BundledFile(
        "sklearn",
        "datasets/data/diabetes_data_raw.csv.gz",
        30_646,
        "d0b17dcf54b920e1a5cd4c997ffb4876945d528b70418989cdfa5de92d0881d2",
        beside="datasets/data/diabetes_target.csv.gz",
    ),
}
"""`dataset` of a bundled source to its file."""


def bundled_file(dataset: str) -> BundledFile:
    """The file of a bundled data set.

    Raises:
        ParamsError: there is no data set of that name.
    """
    if dataset not in BUNDLED:
        raise ParamsError(f"collect.sources: '{dataset}' is not bundled.{did_you_mean(dataset, BUNDLED)}")
    return BUNDLED[dataset]


def locate(file: BundledFile, store: Store) -> Path:
    """Where the file is on this machine; the package is not imported. Two files that belong together are put together in `store`.

    Raises:
        SourceError: the package is not installed, or has no such file.
    """
    first = _installed(file.package, file.path)
    if not file.beside:
        return first
    if present := store.find(file.sha256, file.name):
        return present
    folder = store.workbench()
    try:
        temporary = folder / file.name
        with gzip.open(first, "rt") as left, gzip.open(_installed(file.package, file.beside), "rt") as right:
            lines = [f"{row.strip()} {value.strip()}\n" for row, value in zip(left, right, strict=True)]
        temporary.write_text("".join(lines), encoding="ascii")
        return store.land(temporary, file_sha256(temporary), file.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _installed(package: str, name: str) -> Path:
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / name
        if path.is_file():
            return path
    raise SourceError(f"package {package} does not bring {name}. Install the locked environment with `make install`.")
