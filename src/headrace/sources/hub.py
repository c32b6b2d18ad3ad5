"""Models of a hub such as Hugging Face's: a name means a commit, and files of that commit come by their sha256.

hf://sentence-transformers/all-MiniLM-L6-v2        what its branch `main` is when the hub is asked
hf://sentence-transformers/all-MiniLM-L6-v2@v1.0   a branch, a tag, or a commit, of which nobody has to be asked again
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, Field, ValidationError

from headrace.errors import ParamsError, SourceError
from headrace.fingerprint import file_sha256
from headrace.listening import Progress
from headrace.settings import HUB
from headrace.sources.connections import Bearer
from headrace.sources.http import Failed, Patience, Wanted, download
from headrace.sources.places import Places
from headrace.sources.snapshot import REFRESH, LockedFile
from headrace.sources.spec import Sha256, strip_user
from headrace.sources.store import Store
from headrace.sources.web import from_web

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.))*"
_NAME = re.compile(rf"hf://(?P<repository>{_WORD}(?:/{_WORD})?)(?:@(?P<revision>{_WORD}(?:/{_WORD})*))?")


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository of a hub at a revision."""

    repository: str
    revision: str

    @classmethod
    def parse(cls, text: str) -> "HubModel":
        """Read `hf://owner/name@revision`.

        Raises:
            ParamsError: it is something else.
        """
        found = _NAME.fullmatch(text)
        if found is None:
            raise ParamsError(
                f"train.init_from: {text} names no model of a hub; write hf://owner/name, or hf://owner/name@revision."
            )
        return cls(found["repository"], found["revision"] or "main")

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}"


class _Large(BaseModel):
    """What the hub knows of a file that git only points to."""

    sha256: Sha256
    size: int


class _File(BaseModel):
    rfilename: str
    size: int | None = None
    lfs: _Large | None = None


class Commit(BaseModel):
    """What a hub says of a revision."""

    sha: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    siblings: list[_File]

    @property
    def names(self) -> set[str]:
        """Paths of its files."""
        return {file.rfilename for file in self.siblings}


def commit_of(model: HubModel, places: Places) -> Commit:
    """Ask the hub which commit a revision is, and which files it has.

    Raises:
        SourceError: no answer, no such model or revision, or none that may be had.
    """
    url = f"{_endpoint(places)}/api/models/{model.repository}/revision/{quote(model.revision, safe='')}?blobs=true"
    try:
        with tempfile.TemporaryDirectory() as folder:
            answer = download(
                Wanted(url, "answer", None, None),
                Store(Path(folder)),
                allowed=_allowed(places),
                patience=Patience(budget_s=places.budget_s),
                auth=_auth(places),
            ).read_bytes()
    except Failed as error:
        _tell(error, model, places)
    try:
        return Commit.model_validate_json(answer)
    except ValidationError:
        raise SourceError(
            f"train.init_from: {strip_user(_endpoint(places))} does not answer as a hub does when asked for {model}. Correct HF_ENDPOINT."
        ) from None


def pin(model: HubModel, commit: Commit, names: tuple[str, ...], places: Places, progress: Progress) -> list[LockedFile]:
    """Those of the files `names` that a commit has, with their sha256: large ones as the hub says, small ones are brought."""
    files = {file.rfilename: file for file in commit.siblings}
    at = HubModel(model.repository, commit.sha)
    return [_pinned(files[name], at, places, progress) for name in names if name in files]


def _pinned(file: _File, at: HubModel, places: Places, progress: Progress) -> LockedFile:
    url = f"{at}/{file.rfilename}"
    if file.lfs:
        return LockedFile(name=file.rfilename, url=url, size=file.lfs.size, sha256=file.lfs.sha256)
    path = _from_hub(at, file.rfilename, None, file.size, places, progress)
    return LockedFile(name=file.rfilename, url=url, size=path.stat().st_size, sha256=file_sha256(path))


def bring(file: LockedFile, places: Places, progress: Progress) -> Path:
    """A pinned file, verified: from this machine's downloads, else from the mirror, else from the hub.

    Raises:
        SourceError: it cannot be had, or has other bytes.
    """
    at, _, name = file.url.rpartition("/")
    return _from_hub(HubModel.parse(at), name, file.sha256, file.size, places, progress)


def _from_hub(model: HubModel, name: str, sha256: str | None, size: int | None, places: Places, progress: Progress) -> Path:
    url = f"{_endpoint(places)}/{model.repository}/resolve/{model.revision}/{name}"
    allowed, auth = _allowed(places), _auth(places)
    try:
        return from_web(url, name, sha256, size, places, progress, dataset=model.repository, allowed=allowed, auth=auth)
    except Failed as error:
        _tell(error, model, places, name)


def _tell(error: Failed, model: HubModel, places: Places, name: str | None = None) -> NoReturn:
    """Say what the hub's refusal means, and what to do.

    A hub hides what is private: who shows no token is told 401 for a name that does not exist, too.
    """
    page = f"{strip_user(_endpoint(places))}/{model.repository}"
    mirror = f"HEADRACE_MIRROR set to a folder that has it as {model.repository}/<file name>"
    if error.code == "GatedRepo":
        why = f"{page} is gated. Accept its terms there, and set HF_TOKEN to a token of that account."
    elif error.code == "RevisionNotFound":
        why = f"{page} has no revision {model.revision}. Write a branch, a tag or a commit of it after the @. {REFRESH}"
    elif error.code == "EntryNotFound":
        why = f"{model} has no {name} any more. Choose another revision in params.yaml. {REFRESH}"
    elif error.status in (401, 403) and places.hub_token:
        why = f"{page} is not shown to the token in HF_TOKEN ({error.status}). Correct the name, or use a token that may read it."
    elif error.status in (401, 403):
        why = (
            f"{page} does not exist, is private or is gated ({error.status}). "
            "Correct the name, or set HF_TOKEN to a token that may read it."
        )
    elif error.status == 404:
        why = (
            f"{page} does not exist, or has no revision {model.revision} (404). Correct train.init_from in params.yaml. {REFRESH}"
        )
    elif error.status:
        why = f"{page} answered {error.status}. Correct train.init_from, or HF_ENDPOINT."
    elif name is None:
        why = (
            f"{strip_user(_endpoint(places))} could not be asked for {model}: {error.reason}. "
            "Check the network and HF_ENDPOINT, then run the command again. "
            "What data/sources.lock pins already needs no network here: `headrace run`."
        )
    else:
        why = f"{name} of {model} did not come: {error.reason}. Check the network and HF_ENDPOINT, or run again with {mirror}."
    raise SourceError(f"train.init_from: {why}") from None


def _endpoint(places: Places) -> str:
    url = places.hub.strip().rstrip("/") or HUB
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or True)
    except ValueError:
        is_url = False
    if not is_url:
        shown = re.sub(r"//.*@", "//", url)  # a password is nobody's business
        raise SourceError(f"HF_ENDPOINT is '{shown}', which is no http:// or https:// URL of a hub. Correct it.")
    return url


def _allowed(places: Places) -> set[str]:
    """The machine's owner named the hub, so its host may be private."""
    return {urlsplit(_endpoint(places)).hostname or ""}


def _auth(places: Places) -> Bearer | None:
    token = places.hub_token.get_secret_value().strip() if places.hub_token else ""
    if not token:
        return None
    if not re.fullmatch(r"[!-~]+", token):
        # Not shown, here or by the library that would refuse it.
        raise SourceError("HF_TOKEN has signs that no token has, such as spaces. Set it to the token alone.")
    return Bearer(_endpoint(places), token)
