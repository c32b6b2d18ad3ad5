"""A file of the web: from this machine's downloads, else from the mirror, else from its URL."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headrace.errors import SourceError
from headrace.fingerprint import file_sha256
from headrace.listening import Progress
from headrace.sources.places import Places
from headrace.sources.store import Store

if TYPE_CHECKING:
    from headrace.sources.connections import Bearer


def from_web(
    url: str,
    name: str,
    sha256: str | None,
    size: int | None,
    places: Places,
    progress: Progress,
    *,
    dataset: str,
    allowed: Collection[str],
    auth: "Bearer | None" = None,
) -> Path:
    """Path of the verified file on this machine.

    Args:
        url: where it is.
        name: of the file, here and on a mirror.
        sha256: of its content; without one it is asked for at the URL.
        size: in bytes, where it is known.
        places: of this machine.
        progress: told what comes.
        dataset: folder on a mirror.
        allowed: private hosts that may be asked.
        auth: for the server of the URL; the mirror gets none.

    Raises:
        SourceError: refused, not there, or other bytes.
    """
    store = Store(places.downloads)
    if sha256 and (present := store.find(sha256, name)):
        return present
    if places.mirror and sha256 and (mirrored := _from_mirror(url, name, sha256, size, places, progress, dataset)):
        return mirrored
    from headrace.sources.http import Patience, Wanted, download

    progress.start(name, size, unit="B")
    try:
        return download(
            Wanted(url, name, sha256, size),
            store,
            allowed=allowed,
            patience=Patience(budget_s=places.budget_s),
            advance=progress.advance,
            auth=auth,
        )
    finally:
        progress.finish()


def _from_mirror(
    url: str, name: str, sha256: str, size: int | None, places: Places, progress: Progress, dataset: str
) -> Path | None:
    mirror = str(places.mirror)
    if not mirror.startswith(("http://", "https://")):
        path = (places.project / mirror).absolute() / dataset / name
        if not path.is_file():
            return None
        if file_sha256(path) == sha256:
            return path
        progress.say(f"the mirror's {dataset}/{name} has another sha256 than data/sources.lock; asking {url}")
        return None
    from headrace.sources.http import Patience, Wanted, download

    try:
        # The machine's owner named the mirror, so its host may be private.
        return download(
            Wanted(f"{mirror.rstrip('/')}/{dataset}/{name}", name, sha256, size),
            Store(places.downloads),
            allowed={urlsplit(mirror).hostname or ""},
            patience=Patience(budget_s=places.budget_s / 4),
        )
    except SourceError as error:
        progress.say(f"not from the mirror: {error}")
        return None
