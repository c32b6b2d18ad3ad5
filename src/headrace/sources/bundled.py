"""Data sets that ship with packages of the environment."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from headrace.errors import ParamsError, SourceError
from headrace.params import did_you_mean


@dataclass(frozen=True, slots=True)
class BundledFile:
    """One file inside an installed package, pinned: another release of the package may bring other bytes."""

    package: str
    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """File name."""
        return self.path.rpartition("/")[2]


BUNDLED = {
    "digits": BundledFile(
        "sklearn", "datasets/data/digits.csv.gz", 57_523, "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
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


def locate(file: BundledFile) -> Path:
    """Where the file is on this machine; the package is not imported.

    Raises:
        SourceError: the package is not installed, or has no such file.
    """
    spec = find_spec(file.package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / file.path
        if path.is_file():
            return path
    raise SourceError(f"package {file.package} does not bring {file.path}. Install the locked environment with `make install`.")
