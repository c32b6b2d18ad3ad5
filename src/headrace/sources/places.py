"""Where a machine keeps what sources bring. Filled from settings; nothing in it changes an output."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from headrace.settings import HUB, Settings
from headrace.tracking.live import store_of
from headrace.tracking.runs import Store


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
    registry: Store | None = None
    """Where registered models are, for a training that starts from one."""
    hub: str = HUB
    """Where models named hf:// are."""
    hub_token: SecretStr | None = None
    """For what is private there; no other server gets it."""

    @property
    def notes(self) -> Path:
        """Folder for what is worth remembering about files of this checkout: hashes by modification time."""
        return self.project / ".headrace" / "sources"

    @property
    def marks(self) -> Path:
        """What servers said about which bytes; beside the downloads, so that a fresh clone on this machine knows it too."""
        return self.downloads / "marks.json"


def places_of(settings: Settings) -> Places:
    """Those of a project on this machine."""
    return Places(
        project=settings.project,
        downloads=settings.downloads,
        mirror=settings.mirror,
        budget_s=settings.download_budget_s,
        registry=store_of(settings),
        hub=settings.hub,
        hub_token=settings.hub_token,
    )
