"""The idx format of MNIST: a file of pictures and a file of labels, plain or .gz, paired by name."""

import re
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from headrace.errors import FormatError
from headrace.formats.opening import describe, open_data
from headrace.formats.record import RawRecord, SourceFile
from headrace.params import Section

_UNSIGNED_BYTE = 0x08
_CHUNK_RECORDS = 4096
_MAX_RECORD_BYTES = 1 << 30


class Options(Section):
    """How pairs are found and split."""

    split_by_name: bool = True
    """train... belongs to split train, t10k... and test... to test, val... to validation, where the source says nothing."""


def read(files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    """The pictures of each pair with their labels, in the order of the files.

    Raises:
        FormatError: a file has no partner, is no idx file, is cut short or longer than it says, or the two differ in number.
    """
    for images, labels in _pairs(files):
        yield from _read_pair(images, labels, images.split or (_split_of(images.name) if options.split_by_name else ""))


def _pairs(files: Sequence[SourceFile]) -> list[tuple[SourceFile, SourceFile]]:
    by_key: dict[tuple[str, str], dict[str, SourceFile]] = {}
    for file in files:
        found = re.search(r"images|labels", file.name)
        if found is None:
            raise FormatError(
                f"{file} is neither images nor labels by its name. Name pairs such as train-images and train-labels."
            )
        # 'train-images-idx3-ubyte.gz' and 'train-labels-idx1-ubyte.gz' differ in the word and in the number of dimensions.
        key = re.sub(r"idx\d", "idx", file.name[: found.start()] + "*" + file.name[found.end() :]).removesuffix(".gz")
        pair = by_key.setdefault((file.source, key), {})
        if found.group() in pair:
            raise FormatError(f"{file} and {pair[found.group()].name} are the same file by their names. Take one out.")
        pair[found.group()] = file
    for pair in by_key.values():
        if len(pair) < 2:
            (kind, file), *_ = pair.items()
            raise FormatError(
                f"{file} has no {'labels' if kind == 'images' else 'images'} beside it. Add that file to the source."
            )
    return [(pair["images"], pair["labels"]) for pair in by_key.values()]


def _split_of(name: str) -> str:
    stem = name.rpartition("/")[2]
    for start, split in (("train", "train"), ("t10k", "test"), ("test", "test"), ("val", "validation")):
        if stem.startswith(start):
            return split
    return ""


def _read_pair(images: SourceFile, labels: SourceFile, split: str) -> Iterator[RawRecord]:
    with open_data(labels) as stream:
        shape = _header(stream, labels)
        if len(shape) != 1:
            raise FormatError(f"{labels} has {len(shape)} dimensions; labels have one.")
        classes = _exactly(stream, shape[0], labels)
        _end(stream, labels)
    with open_data(images) as stream:
        count, *shape_of_one = _header(stream, images)
        if count != len(classes):
            raise FormatError(
                f"{images} holds {count} pictures, {labels.name} holds {len(classes)} labels. They belong to different sets."
            )
        if len(shape_of_one) not in (2, 3):
            raise FormatError(f"{images} has {len(shape_of_one) + 1} dimensions; pictures have 3, or 4 with channels.")
        height, width, channels = [*shape_of_one, 1][:3]
        size = height * width * channels
        if not 0 < size <= _MAX_RECORD_BYTES:
            raise FormatError(f"{images} says its pictures are {height} x {width} x {channels}; its header is damaged.")
        names = [str(value) for value in range(256)]
        for start in range(0, count, _CHUNK_RECORDS):
            stop = min(start + _CHUNK_RECORDS, count)
            block = np.frombuffer(_exactly(stream, (stop - start) * size, images), dtype=np.uint8)
            for index, pixels in enumerate(block.reshape(stop - start, height, width, channels), start=start):
                yield RawRecord(pixels, names[classes[index]], split, images.source, f"{images.name}:{index}")
        _end(stream, images)


def _header(stream: BinaryIO, file: SourceFile) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise FormatError(
            f"{file} is no idx file: it begins with {magic!r} ({describe(magic)} idx). Set collect.format to what it is."
        )
    if magic[2] != _UNSIGNED_BYTE:
        raise FormatError(f"{file} holds values of type 0x{magic[2]:02x}; only unsigned bytes (0x08) are read.")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise FormatError(f"{file} ends within its header. Fetch it again.")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    if not shape or shape[0] == 0:
        raise FormatError(f"{file} holds no record.")
    return shape


def _exactly(stream: BinaryIO, size: int, file: SourceFile) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise FormatError(f"{file} is cut short: its header promises more than it holds. Fetch it again.")
    return content


def _end(stream: BinaryIO, file: SourceFile) -> None:
    if stream.read(1):
        raise FormatError(f"{file} is longer than its header says. It is damaged or not what its name says.")
