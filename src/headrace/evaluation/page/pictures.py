"""Records of the data set as small pictures (data URIs) or short texts, for galleries."""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.plugins import resolve

TEXT_CHARACTERS = 160
ROW_CHARACTERS = 480
THUMBNAIL_PX = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """One record to look at: a picture or a text."""

    id: str
    label: int
    picture: str = ""
    """data: URI."""
    text: str = ""
    """Its beginning, on one line."""
    whole: str = ""
    """A text as it stands."""
    origin: str = ""


def png_uri(content: bytes) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def find_records(folder: Path, ids: Iterable[str]) -> dict[str, Shown]:
    """The named records of a data set; those it does not hold are absent."""
    wanted, info = set(ids), read_info(folder)
    found: dict[str, Shown] = {}
    for table in iter_tables(folder):
        if not wanted:
            break
        mask = [key in wanted for key in table.column("id").to_pylist()]
        if any(mask):
            shown = _show(table.filter(pa.array(mask)), info.task, info.record)
            found |= {item.id: item for item in shown}
            wanted -= found.keys()
    return found


def samples(folder: Path, *, per_class: int, max_classes: int) -> list[tuple[str, list[Shown]]]:
    """The first records of each class, classes in the order of their labels."""
    info = read_info(folder)
    open_places = dict.fromkeys(range(min(len(info.classes), max_classes)), per_class)
    found: dict[int, list[Shown]] = {label: [] for label in open_places}
    for table in iter_tables(folder):
        mask = []
        for label in table.column("label").to_pylist():
            mask.append(open_places.get(label, 0) > 0)
            if mask[-1]:
                open_places[label] -= 1
        if any(mask):
            for item in _show(table.filter(pa.array(mask)), info.task, info.record):
                found[item.label].append(item)
        if not any(open_places.values()):
            break
    return [(info.classes[label], items) for label, items in found.items() if items]


def _show(table: pa.Table, task_name: str, record: Mapping[str, Any]) -> list[Shown]:
    task = resolve("tasks", task_name, None, where="task of dataset.json")
    ids, labels = table.column("id").to_pylist(), table.column("label").to_pylist()
    origins = table.column("origin").to_pylist() if "origin" in table.column_names else [""] * len(ids)
    if "image" in str(record.get("payload", "")):
        pictures = [png_uri(_thumbnail(item)) for item in task.inputs(table, record)]
        return [Shown(key, label, picture=p, origin=o) for key, label, p, o in zip(ids, labels, pictures, origins, strict=True)]
    wholes = [""] * len(ids)
    if "payload" in record:
        wholes = [str(value) for value in table.column(str(record["payload"])).to_pylist()]
        texts = [_text(value) for value in wholes]
    elif "columns" in record:
        texts = [_row(row) for row in task.inputs(table, record)]
    else:
        texts = [""] * len(ids)
    return [
        Shown(key, label, text=text, whole=whole, origin=origin)
        for key, label, text, whole, origin in zip(ids, labels, texts, wholes, origins, strict=True)
    ]


def _thumbnail(item: np.ndarray) -> bytes:
    """A picture, uint8 (H, W, C), as PNG of at least THUMBNAIL_PX a side, its pixels kept square and sharp."""
    image = Image.fromarray(item if item.shape[2] > 1 else item[:, :, 0])
    scale = max(1, -(-THUMBNAIL_PX // min(image.size)))
    content = io.BytesIO()
    image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST).save(content, format="PNG")
    return content.getvalue()


def _text(value: Any, most: int = TEXT_CHARACTERS) -> str:
    words = " ".join(str(value).split())
    return words if len(words) <= most else words[: most - 1] + "…"


def _row(row: Mapping[str, Any]) -> str:
    cells = {name: f"{value:.10g}" if isinstance(value, float) else value for name, value in row.items()}
    return _text(", ".join(f"{name} {'missing' if value is None else value}" for name, value in cells.items()), ROW_CHARACTERS)
