"""What the page cannot read from the project's folder: whoever calls for the page knows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PageContext:
    """Facts of the outside world; whatever is left empty is left out of the page."""

    title: str = ""
    """Name of the project or recipe."""
    made_at: str = ""
    """When the page was made, as it should be read."""
    git_commit: str = ""
    git_dirty: bool | None = None
    lock_digest: str = ""
    """sha256 of dvc.lock."""
    mlflow_run: str = ""
    model_version: str = ""
    """Such as 'digits, version 3 (champion)'."""
    parents: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The DAG in topological order; empty: read from dvc.yaml as far as it goes without templating."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside environment.json, such as {'headrace': '0.1.0'}."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """More lines for the lineage."""
