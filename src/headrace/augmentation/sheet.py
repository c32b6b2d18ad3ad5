"""What the policy does to a few records, before and after: pictures as a PNG, others as a table."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headrace.augmentation.contract import MakeCopies
from headrace.dataset.schema import DatasetInfo
from headrace.dataset.shards import iter_tables
from headrace.storage.local import write_text

TILE_PX = 88
GAP_PX = 8
LABEL_PX = 132
INK, MUTED, ACCENT, PAPER = (34, 34, 34), (95, 95, 95), (0, 114, 178), (255, 255, 255)


@dataclass(frozen=True)
class SheetRow:
    """One original with its variants, uint8 (H, W, C)."""

    name: str
    original: np.ndarray
    variants: list[np.ndarray]


def is_picture(info: DatasetInfo) -> bool:
    """Whether the records are uint8 arrays (H, W, C), which a sheet can show."""
    return info.record.get("dtype") == "uint8" and len(info.record.get("shape", ())) == 3


def sheet_rows(train: Path, info: DatasetInfo, make: MakeCopies, *, rows: int = 10, variants: int = 6) -> list[SheetRow]:
    """The first record of each class, with its first copies as `write_copies` would make them."""
    payload = str(info.record["payload"])
    wanted = [label for label, name in enumerate(info.classes) if info.by_class.get(name)][:rows]
    found: dict[int, SheetRow] = {}
    for table in iter_tables(train, ["id", "label", payload]):
        labels = table["label"].to_pylist()
        for label in [label for label in wanted if label not in found and label in labels]:
            place = labels.index(label)
            made = make(table.slice(place, 1), [(0, copy) for copy in range(1, variants + 1)])[payload]
            found[label] = SheetRow(info.classes[label], table[payload][place].to_numpy(), list(made.to_numpy_ndarray()))
        if len(found) == len(wanted):
            break
    return [found[label] for label in wanted if label in found]


def write_examples(train: Path, info: DatasetInfo, make: MakeCopies | None, path: Path) -> None:
    """A CSV with the first record of each class and its first copy as `write_copies` would make it; without a policy no rows."""
    payload, seen = str(info.record.get("payload", "")), set[int]()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "original", "copy"])
    for table in iter_tables(train):
        for place, label in enumerate(table["label"].to_pylist()):
            if make and label not in seen and 0 <= label < len(info.classes):
                seen.add(label)
                one = table.slice(place, 1)
                changed = make(one, [(0, 1)])
                writer.writerow([info.classes[label], one[payload][0].as_py(), changed[payload][0].as_py()])
    write_text(path, text.getvalue())


def write_sheet(rows: Sequence[SheetRow], path: Path, *, title: str, subtitle: str) -> None:
    """Draw the sheet; equal rows give equal bytes. Pixels stay sharp squares where pictures are small."""
    columns = 1 + max((len(row.variants) for row in rows), default=0)
    top = 86
    width = max(LABEL_PX + columns * (TILE_PX + GAP_PX) + 2 * GAP_PX, 640)
    sheet = Image.new("RGB", (width, top + max(len(rows), 1) * (TILE_PX + GAP_PX) + GAP_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(20), ImageFont.load_default(14)
    draw.text((GAP_PX, GAP_PX), _fitting(title, large, width - 2 * GAP_PX), INK, large)
    draw.text((GAP_PX, 36), _fitting(subtitle, small, width - 2 * GAP_PX), MUTED, small)
    for column in range(columns):
        name = "original" if column == 0 else f"variant {column}"
        draw.text((_left(column) + TILE_PX // 2, top - 10), name, ACCENT if column == 0 else MUTED, small, anchor="mb")
    for index, row in enumerate(rows):
        y = top + index * (TILE_PX + GAP_PX)
        draw.text((GAP_PX, y + TILE_PX // 2), _fitting(row.name, small, LABEL_PX - 2 * GAP_PX), INK, small, anchor="lm")
        for column, pixels in enumerate([row.original, *row.variants]):
            tile = _tile(pixels)
            sheet.paste(tile, (_left(column) + (TILE_PX - tile.width) // 2, y + (TILE_PX - tile.height) // 2))
        draw.rectangle((_left(0) - 3, y - 3, _left(0) + TILE_PX + 2, y + TILE_PX + 2), outline=ACCENT, width=2)
    if not rows:
        draw.text((GAP_PX, top), "The training split has no records.", INK, small)
    sheet.save(path, format="PNG", compress_level=9)


def _left(column: int) -> int:
    # The originals stand a little apart from what was made of them.
    return LABEL_PX + column * (TILE_PX + GAP_PX) + (GAP_PX if column else 0)


def _tile(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[:, :, 0])
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*PAPER, 255)), image)
    scale = TILE_PX / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
