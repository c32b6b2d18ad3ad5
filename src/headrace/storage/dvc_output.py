"""What DVC prints beside the words of a stage."""

_HINTS = ("To track the changes", "To enable auto staging", "Updating lock file", "Generating lock file", "Use `dvc push`")


def is_noise(line: str) -> bool:
    """Whether a line helps nobody who looks for what happened: a blank one, a hint, and what is indented below a hint."""
    return not line.strip() or line.startswith("\t") or line.strip().startswith(_HINTS)
