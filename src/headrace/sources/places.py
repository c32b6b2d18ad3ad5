"""Where a machine keeps what sources bring. The runner fills it from settings; nothing in it changes an output."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Machine-specific places and patience that `collect` and `headrace sources` need."""

    project: Path
    """Folder of params.yaml; paths of `files` sources are relative to it."""
    downloads: Path
    """Content-addressed store of downloads, shared by all checkouts of a project."""
    mirror: str | None = None
    """Folder or URL prefix that is tried first, as `<data set>/<file name>`."""
    budget_s: float = 60.0
    """Seconds without progress after which a failing download is given up."""

    @property
    def notes(self) -> Path:
        """Folder for what is worth remembering about files of this checkout: hashes by modification time."""
        return self.project / ".headrace" / "sources"

    @property
    def marks(self) -> Path:
        """What servers said about which bytes; beside the downloads, so that a fresh clone on this machine knows it too."""
        return self.downloads / "marks.json"
