"""Every recipe on a cut of its data, so that it runs whole in seconds: the sources, cut, in a mirror folder, and params to go with them.

A new recipe needs one line in `CUTS`, or two. How its files are cut follows from their names.
"""

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.params import read_yaml
from tests.projects import REPOSITORY, change_yaml
from tests.unit.pretrained import save_texts

RECIPES = {path.stem: path for path in sorted((REPOSITORY / "recipes").glob("*.yaml"))}
MILLION = 1_000_001

BAD_ARTICLES = {
    "tech/pounds.txt": "It costs £ 5 and not £ 6, said the maker of it.".encode("latin-1"),
    "tech/zero.txt": b"Somebody wrote \0 here.",
    "tech/endless.txt": b"word " * (MILLION // 5 + 1),
}
"""One in latin-1, one with a NUL byte and one of a million characters."""


@dataclass(frozen=True)
class Cut:
    """What of a recipe's data is taken, and params that differ from the recipe's.

    Args:
        keep: records of a file, or of each folder in an archive; characters of running text. None takes all.
        added: files that go into an archive, or pieces that go behind a running text.
        after: a recipe whose model it starts from.
        weights: puts there what it starts from, into the folder that it is given.
        params: keys of params.yaml by section.
    """

    keep: int | None = None
    added: Mapping[str, bytes] = field(default_factory=dict)
    after: str | None = None
    weights: Callable[[Path], object] | None = None
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _params(gate: Mapping[str, float], train: Mapping[str, Any], **others: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A training too short to be good, and a gate that lets it through."""
    lenient = {"thresholds": gate, "max_regression": 5.0, "allow_beaten": True}
    return {"train": train, "evaluate": lenient, **others}


_GUESSED = {"min_accuracy": 0.05}
_PICTURES = {"baseline": {"models": ["majority", "logistic_regression"]}}
_CIFAR = {"network_options": {"widths": [8, 16, 16]}, "epochs": 2, "batch_size": 16}
_THINGS = {**_PICTURES, "split": {"validation": 0.2}}  # of so few, else a class has none
_GPT = {"epochs": 1, "network_options": {"width": 16, "blocks": 1, "heads": 2}}
_GPT |= {"prediction": {"samples": 1, "sampling": {"max_tokens": 40}}}
_BRIEF = {"epochs": 1, "encoding": {"max_tokens": 64}}
_ARTICLES = {"validate": {"max_bad_fraction": 0.05}}

CUTS: dict[str, Cut] = {
    "churn": Cut(),
    "cifar10": Cut(60, params=_params(_GUESSED, _CIFAR, **_THINGS)),
    "cifar10-pretrain": Cut(60, params=_params(_GUESSED, _CIFAR, **_THINGS)),
    "cifar10-transfer": Cut(
        60,
        after="cifar10-pretrain",
        params=_params(_GUESSED, {**_CIFAR, "backbone": {"frozen_epochs": 1, "lr_factor": 0.3}}, **_THINGS),
    ),
    "diabetes": Cut(),
    "digits": Cut(),
    "mnist": Cut(500, params=_params(_GUESSED, {"network_options": {"width": 8}, "epochs": 1}, **_PICTURES)),
    "mnist-dense": Cut(500, params=_params(_GUESSED, {"epochs": 1}, **_PICTURES)),
    "news": Cut(30, BAD_ARTICLES, params=_params(_GUESSED, {}, **_ARTICLES)),
    "news-lstm": Cut(30, BAD_ARTICLES, params=_params(_GUESSED, _BRIEF, register={"model": "news-lstm"}, **_ARTICLES)),
    "news-transformer": Cut(
        30, BAD_ARTICLES, params=_params(_GUESSED, _BRIEF, register={"model": "news-transformer"}, **_ARTICLES)
    ),
    "parcels": Cut(),
    "reviews": Cut(40, params=_params(_GUESSED, {})),
    "rt-polarity": Cut(300, params=_params(_GUESSED, {})),
    "sentiment": Cut(300, params=_params(_GUESSED, {})),
    "sentiment-pretrained": Cut(
        100,
        weights=save_texts,
        params=_params(
            _GUESSED,
            {"epochs": 1, "encoding": {"max_tokens": 16}, "batch_size": 8},
            register={"model": "sentiment-pretrained"},  # no champion of another recipe to compare with
        ),
    ),
    "shakespeare": Cut(
        60_000,
        {"zero": b"Somebody wrote \0 here.\n\n"},
        params=_params(
            {"max_loss_per_character": 5.0},
            {**_GPT, "encoding": {"context": 32}},
            collect={"record": {"characters": 512}},
            validate={"max_bad_fraction": 0.05},
        ),
    ),
    "titanic": Cut(),
    "wikitext2": Cut(
        60_000,
        params=_params(
            {"max_loss_per_character": 5.0},
            {**_GPT, "encoding": {"tokenizer": "bpe", "vocabulary": 300, "context": 32}},
            baseline={"config": {"order": 5, "tokenizer": "bpe", "vocabulary": 300}},
        ),
    ),
}


def write_cut(recipe: str, project: Path, shared: Path | None, mirror: Path) -> None:
    """Write `recipes/NAME.yaml` of a project anew, for the cut of its sources that this puts into the mirror folder.

    Args:
        recipe: its name.
        project: a clone.
        shared: folder of the whole data sets, for recipes with files from elsewhere.
        mirror: what `HEADRACE_MIRROR` is to name.
    """
    cut = CUTS[recipe]
    sources = read_yaml(RECIPES[recipe])["collect"]["sources"]
    for source in sources:
        for file in source.get("files", []):
            assert shared is not None
            place = Path(source["dataset"], file["url"].rpartition("/")[2])
            content = _cut(shared / place, cut)
            (mirror / place).parent.mkdir(parents=True, exist_ok=True)
            (mirror / place).write_bytes(content)
            file |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    if cut.weights is not None:
        cut.weights(project / read_yaml(RECIPES[recipe])["train"]["init_from"])
    for changes in ({"collect": {"sources": sources}}, cut.params):
        change_yaml(project / "recipes" / f"{recipe}.yaml", changes)


def is_offline(recipe: str) -> bool:
    """Whether its sources are there without a network."""
    return all(source["kind"] != "http" for source in read_yaml(RECIPES[recipe])["collect"]["sources"])


def _cut(path: Path, cut: Cut) -> bytes:
    content = path.read_bytes()
    if cut.keep is None:
        return content
    if path.name.endswith(".tar.gz"):
        return _cut_tar(content, cut)
    if path.suffix == ".zip":
        return _cut_zip(content, cut.keep)
    if "idx" in path.name:
        return _cut_idx(gzip.decompress(content), cut.keep)
    if path.suffix == ".txt":
        return content[: cut.keep] + b"".join(cut.added.values()) + content[cut.keep : cut.keep + cut.keep // 20]
    return b"".join(content.splitlines(keepends=True)[: cut.keep])


def _cut_tar(content: bytes, cut: Cut) -> bytes:
    """The first files of each folder, one of them twice, and those that are added."""
    taken: Counter[str] = Counter()
    kept: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as members:
        for member in members:
            folder = member.name.rpartition("/")[0]
            if member.isfile() and member.name.endswith(".txt") and folder.count("/") and taken[folder] < (cut.keep or 0):
                file = members.extractfile(member)
                assert file is not None
                taken[folder] += 1
                kept[member.name] = file.read()
    first = next(iter(kept))
    top, _, _ = first.partition("/")
    kept[f"{first.rpartition('/')[0]}/again.txt"] = kept[first]
    kept |= {f"{top}/{name}": added for name, added in cut.added.items()}
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as members:
        for name, held in kept.items():
            info = tarfile.TarInfo(name)
            info.size = len(held)
            members.addfile(info, io.BytesIO(held))
    return gzip.compress(written.getvalue(), mtime=0)


def _cut_zip(content: bytes, keep: int) -> bytes:
    """The first files of each folder."""
    taken: Counter[str] = Counter()
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as members, zipfile.ZipFile(written, "w") as out:
        for info in members.infolist():
            folder = info.filename.rpartition("/")[0]
            taken[folder] += not info.is_dir()
            if not info.is_dir() and taken[folder] <= keep:
                out.writestr(info, members.read(info))
    return written.getvalue()


def _cut_idx(content: bytes, keep: int) -> bytes:
    """The first records of an IDX file of bytes: two zeros, type, dimensions, then the size of each as a big-endian int32."""
    dimensions = content[3]
    sizes = [int.from_bytes(content[4 * n : 4 * n + 4]) for n in range(1, dimensions + 1)]
    record = 1
    for size in sizes[1:]:
        record *= size
    start = 4 + 4 * dimensions
    header = content[:4] + min(keep, sizes[0]).to_bytes(4) + content[8:start]
    return gzip.compress(header + content[start : start + keep * record], mtime=0)
