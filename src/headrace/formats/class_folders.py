"""What the folders above a file say, in `split/class/file` or `class/file`; shared by the formats whose records are whole files."""

from collections.abc import Mapping

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""Names of folders that say the split."""
LEFT_OUT = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
"""What systems leave in folders and archives."""


def is_left_behind(name: str) -> bool:
    """Whether a system put the file there, and no person."""
    parts = name.split("/")
    return bool(LEFT_OUT & set(parts)) or parts[-1].startswith("._")


def class_of(name: str) -> str | None:
    """The folder right above the file; None when it lies in none."""
    parts = name.split("/")
    return parts[-2] if len(parts) > 1 else None


def split_of(name: str, splits: Mapping[str, str] = SPLITS) -> str:
    """The split that the folder above the class names; '' when it names none."""
    parts = name.split("/")
    return splits.get(parts[-3].lower(), "") if len(parts) > 2 else ""
