"""Where a trainer reads and writes: what the stage `train` hands to the module of headrace/trainers that params name."""

from dataclasses import dataclass
from pathlib import Path

from headrace.listening import Progress, Tracker


@dataclass(frozen=True)
class Job:
    """Where a trainer reads and writes."""

    splits: Path
    """Data sets train, validation and test."""
    augmented: Path
    """A data set of extra training records; it may have none."""
    model: Path
    """Folder to write: the model, and model.json (training/candidate.py, training/onnx_candidate.py)."""
    predictions: Path
    """File to write: probabilities of validation and test (training/predictions.py)."""
    plots: Path
    """Folder to write: history.csv (training/history.py)."""
    fingerprint: str
    """Digest of everything that the result depends on; runs and versions are found by it."""
    scratch: Path
    """Survives kills, for this fingerprint only."""
    device: str
    """'cpu', 'cuda' or 'mps', by the machine's settings."""
    progress: Progress
    tracker: Tracker
    initial: Path | None = None
    """Folder of the weights that `train.init_from` names; a dvc.yaml of before they came has none."""
