"""How much a test split flatters a model when what it will meet is later, or of other people.

    python benchmarks/leak.py news --archive ../shared/data/20news-bydate/20news-bydate.tar.gz

Posts of 20 newsgroups, cut by date into an earlier and a later part by their collectors. The earlier part is split by hash, by thread and
by author; a linear SVM on TF-IDF learns from train, and its accuracy on each test split is compared with that on the later part. Records
are collected and split by the stages of the pipeline. A difference is estimate minus what came true, mean over seeds, with the 95 %
interval of a difference of two shares for one seed's numbers of records. Recipe `parcels` shows the same of time.
"""

import argparse
import json
import re
import resource
import statistics
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from headrace.baselines.text_classification import Config, make
from headrace.dataset.shards import read_table
from headrace.params import parse_section
from headrace.sources.fetch import refresh
from headrace.sources.places import Places
from headrace.stages import collect, split

Row = dict[str, str]

WAYS: dict[str, dict[str, Any]] = {
    "hash": {},
    "group: thread": {"by": "group", "group_column": "thread"},
    "group: author": {"by": "group", "group_column": "author"},
}


def news(archive: Path) -> Iterator[tuple[bool, Row]]:
    """Posts, and whether they are of the later part."""
    with tarfile.open(archive) as members:
        for member in members:
            content = members.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            part, label, _ = member.name.split("/")
            # The copy at hand has tabs in place of the line ends of the earlier part.
            head, _, body = content.read().decode("latin-1").replace("\t", "\n").partition("\n\n")
            fields = dict(re.findall(r"^(Subject|From): (.*)$", head, flags=re.MULTILINE))
            thread = re.sub(r"^(re|fwd?)\s*:\s*", "", fields.get("Subject", "").strip().lower())
            author = re.search(r"[\w.+-]+@[\w.-]+", fields.get("From", ""))
            if body.strip() and thread and author:
                row = {"text": body.replace("\0", " "), "label": label, "thread": thread, "author": author[0].lower()}
                yield part.endswith("test"), row


def collected(rows: list[Row], folder: Path) -> Path:
    """The rows as a data set, as `collect` makes it."""
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    section = {
        "task": "text_classification",
        "format": "jsonl",
        "options": {"payload": "text", "keep": [name for name in rows[0] if name not in ("text", "label")]},
        "sources": [{"kind": "files", "name": "notes", "paths": ["in.jsonl"]}],
    }
    params = parse_section(section, "collect", collect.Params, where="here")
    places = Places(project=folder, downloads=folder / "downloads")
    refresh(params.sources, folder / "sources.lock", places)
    collect.run(params, sources=folder / "sources.lock", out=folder / "raw", places=places)
    return folder / "raw"


def texts(folder: Path) -> tuple[list[str], np.ndarray]:
    """Texts and labels of a data set."""
    table = read_table(folder, ["text", "label"])
    return table["text"].to_pylist(), np.asarray(table["label"])


def measure(past: Path, later: Path, seeds: int) -> Iterator[str]:
    """A line for each way to split."""
    later_texts, later_labels = texts(later)
    for name, way in WAYS.items():
        found: list[tuple[float, float, int]] = []
        for seed in range(1, seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                params = parse_section({"seed": seed, **way}, "split", split.Params, where="here")
                split.run(params, validated=past, splits=Path(folder) / "splits")
                train, test = (texts(Path(folder) / "splits" / part) for part in ("train", "test"))
            model = make("tfidf_linear_svm", Config(words=1), seed=seed).fit(*train)
            right = [float((model.predict(x) == y).mean()) for x, y in (test, (later_texts, later_labels))]
            found.append((right[0], right[1], len(test[1])))
        estimate, truth = (statistics.mean(row[at] for row in found) for at in (0, 1))
        records = round(statistics.mean(row[2] for row in found))
        spread = 1.96 * (estimate * (1 - estimate) / records + truth * (1 - truth) / len(later_labels)) ** 0.5
        yield (
            f"| {name} | {estimate:.4f} ({records:,}) | {truth:.4f} ({len(later_labels):,}) "
            f"| {estimate - truth:+.4f} [{estimate - truth - spread:+.4f}, {estimate - truth + spread:+.4f}] |"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", choices=["news"])
    parser.add_argument("--archive", type=Path, default=Path("../shared/data/20news-bydate/20news-bydate.tar.gz"))
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    rows = list(news(chosen.archive))
    print("| split by | accuracy on its test split (records) | on what came later (records) | difference |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        places = {is_later: Path(folder) / str(is_later) for is_later in (False, True)}
        for is_later, place in places.items():
            place.mkdir()
            collected([row for later, row in rows if later == is_later], place)
        for line in measure(places[False] / "raw", places[True] / "raw", chosen.seeds):
            print(line, flush=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"\n{used.ru_utime + used.ru_stime:.0f} s of CPU")


if __name__ == "__main__":
    main()
