"""Small texts of two kinds, which a word tells apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headrace.dataset.shards import ShardWriter
from headrace.formats.record import RawRecord
from headrace.intake import text_classification as intake

CLASSES = ("sport", "money")
WORDS = {"sport": ("goal", "match", "team", "won"), "money": ("bank", "shares", "profit", "rate")}


def sentences(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Text and class of `count` sentences; every one is different."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        kind = CLASSES[number % 2]
        words = [str(word) for word in random.choice([*WORDS[kind], "the", "a", "said", "today"], size=6)]
        found.append((f"{WORDS[kind][number % 4]} {' '.join(words)}, number {seed}-{number}.", kind))
    return found


def write_texts(folder: Path, rows: Sequence[tuple[str, str]], *, split: str = "", names: Sequence[str] = CLASSES) -> None:
    """A data set folder of texts with their classes."""
    options = intake.RecordOptions()
    classes = {name: index for index, name in enumerate(names)}
    raws = [RawRecord(text, kind, split, "wire", f"{number}.txt") for number, (text, kind) in enumerate(rows)]
    with ShardWriter(
        folder,
        intake.record_schema(options),
        task="text_classification",
        classes=names,
        record=intake.record_info(options),
    ) as writer:
        if raws:
            writer.write(intake.make_rows(raws, classes, options))
