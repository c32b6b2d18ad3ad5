"""A small running text, and data sets of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headrace.dataset.shards import ShardWriter
from headrace.formats.record import RawRecord
from headrace.intake import language_modeling as intake

WORDS = ("the", "king", "of", "this", "old", "town", "went", "to", "see", "a", "river")


def paragraphs(count: int, *, seed: int = 0) -> list[str]:
    """Paragraphs of a few sentences; every one is different."""
    random = np.random.default_rng(seed)
    return [f"{number}: " + " ".join(str(word) for word in random.choice(WORDS, size=12)) + ".\n\n" for number in range(count)]


def write_running_text(folder: Path, texts: Sequence[str], *, characters: int = 256, split: str = "") -> None:
    """A data set folder of running text."""
    options = intake.RecordOptions(characters=characters)
    raws = [RawRecord(text, None, split, "shelf", f"{number}.txt") for number, text in enumerate(texts)]
    with ShardWriter(
        folder, intake.record_schema(options), task="language_modeling", classes=[], record=intake.record_info(options)
    ) as writer:
        if raws:
            writer.write(intake.make_rows(raws, {}, options))
