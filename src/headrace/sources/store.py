"""Downloads by content: `<downloads>/sha256/<digest>/<name>`. A file appears there whole and verified, or not at all."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from headrace.fingerprint import file_sha256
from headrace.storage.local import fsync_folder


@dataclass(frozen=True, slots=True)
class Store:
    """The content-addressed downloads of this machine."""

    root: Path

    def find(self, sha256: str, name: str) -> Path | None:
        """The file of this digest, verified; a damaged one is thrown away."""
        folder = self.root / "sha256" / sha256
        for path in (folder / name, *sorted(folder.glob("*"))):
            if path.is_file():
                if file_sha256(path) == sha256:
                    return path
                path.unlink()
        return None

    def land(self, temporary: Path, sha256: str, name: str) -> Path:
        """Move a verified file to its place; one that another process landed first is as good."""
        final = self.root / "sha256" / sha256 / name
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o444)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(final)
        fsync_folder(final.parent)
        return final

    def partial(self, key: str) -> Path:
        """Where a download of this key grows until it is whole; it survives a kill."""
        folder = self.root / "partial"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / key

    def workbench(self) -> Path:
        """An empty folder of this process, for a function that writes files."""
        folder = self.root / "partial" / f"own-{os.getpid()}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder
