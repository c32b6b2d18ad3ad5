"""What a run says about itself, beside its metrics: params, inputs, commit, environment, a note for people. No MLflow here."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from headrace.tracking.secrets import MASK, is_secret_key, strip_secrets

MAX_PARAM_CHARS = 6000
MAX_TAG_CHARS = 5000
MAX_DIGEST_CHARS = 36
"""What MLflow stores of a data set's digest; DVC's md5 of a folder, `.dir` included, is exactly that."""

FINGERPRINT_TAG = "headrace.fingerprint"
DUPLICATE_TAG = "headrace.duplicate_of"
RESTORED_TAG = "headrace.restored"

DEP_TAG = "headrace.dep."
"""With a path: DVC's digest of a dependency of the training, as dvc.lock has it."""

OUT_TAG = "headrace.out."
"""With a path: DVC's digest of an output."""

SHA256_TAG = "headrace.sha256."
"""With the name of a file under `provenance/`: the sha256 of what was stored there."""


@dataclass(frozen=True, slots=True)
class InputFact:
    """One input of a training: what DVC calls it and its digest there."""

    name: str
    digest: str
    source: str
    """Logical origin, such as the path inside the project; nothing of this machine."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that a run carries from its start. Nothing else is recorded: an allow-list, so that no secret slips through."""

    params: Mapping[str, Any]
    """params.yaml as it was read: section to values."""
    inputs: tuple[InputFact, ...] = ()
    commit: str = ""
    branch: str = ""
    is_dirty: bool = False
    environment: str = ""
    """Digest of environment.json."""
    prefect_run: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    """More tags; keys are put under `headrace.`."""

    def to_json(self) -> dict[str, Any]:
        """For the spool."""
        return {**asdict(self), "params": dict(self.params), "extra": dict(self.extra)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RunFacts":
        """From the spool, which another version of this class may have written: what it does not know is passed over."""
        known = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        inputs = tuple(InputFact(each["name"], each["digest"], each["source"]) for each in known.get("inputs", ()))
        return cls(**{"params": {}, **known, "inputs": inputs})


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """One entry per leaf, 'train.schedule.peak_lr': '0.003'; mappings in a list are numbered."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = re.sub(r"[^\w\-. /:]", "_", f"{prefix}{key}")[:250]
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            flat.update(flatten({str(index): item for index, item in enumerate(value)}, f"{name}."))
        elif is_secret_key(name):
            flat[name] = MASK
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            flat[name] = strip_secrets(text)[:MAX_PARAM_CHARS]
    return flat


def run_name(facts: RunFacts, fingerprint: str) -> str:
    """Short and telling, such as 'digits small_cnn 3f2a91': registered model, network, first digits of the fingerprint."""
    return " ".join(part for part in (_section(facts, "register", "model"), _network(facts), fingerprint[:6]) if part)


def tags(facts: RunFacts, fingerprint: str) -> dict[str, str]:
    """All tags of a run; empty ones are left out."""
    found = {
        FINGERPRINT_TAG: fingerprint,
        "mlflow.runName": run_name(facts, fingerprint),
        "mlflow.note.content": note(facts, fingerprint),
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": "headrace",
        "mlflow.source.git.commit": facts.commit,
        "mlflow.source.git.branch": facts.branch,
        "headrace.git.commit": facts.commit,
        "headrace.git.dirty": str(facts.is_dirty).lower() if facts.commit else "",
        "headrace.environment": facts.environment,
        "headrace.prefect_run": facts.prefect_run,
        **{f"headrace.{key}": value for key, value in facts.extra.items()},
    }
    return {key: strip_secrets(value)[:MAX_TAG_CHARS] for key, value in found.items() if value}


def note(facts: RunFacts, fingerprint: str) -> str:
    """A paragraph of Markdown that says what the run is."""
    task = _section(facts, "collect", "task")
    sources = facts.params.get("collect", {}).get("sources", []) if isinstance(facts.params.get("collect"), Mapping) else []
    known = ("name", "dataset", "kind")
    named = [str(next((each[key] for key in known if each.get(key)), "")) for each in sources if isinstance(each, Mapping)]
    subject = f"`{_network(facts) or 'a model'}`" + (f" for {task.replace('_', ' ')}" if task else "")
    origin = f" on {', '.join(f'`{name}`' for name in named if name)}" if any(named) else ""
    steps = [
        f"{key} {_section(facts, 'train', key)}" for key in ("epochs", "batch_size", "seed") if _section(facts, "train", key)
    ]
    lines = [f"Training of {subject}{origin}" + (f" ({', '.join(steps)})." if steps else ".")]
    if facts.commit:
        state = "with uncommitted changes, kept as `provenance/changes.diff`" if facts.is_dirty else "clean"
        lines.append(f"Code: commit `{facts.commit[:10]}`" + (f" on `{facts.branch}`" if facts.branch else "") + f", {state}.")
    if facts.inputs:
        lines.append("Inputs: " + ", ".join(f"`{each.name}` {each.digest[:8]}" for each in facts.inputs) + ".")
    lines.append(f"The same inputs, params, code and environment have the fingerprint `{fingerprint}` and share this run.")
    return "\n\n".join(lines)


def _section(facts: RunFacts, section: str, key: str) -> str:
    values = facts.params.get(section)
    found = values.get(key) if isinstance(values, Mapping) else None
    return "" if found is None or isinstance(found, Mapping | list) else str(found)


def _network(facts: RunFacts) -> str:
    train = facts.params.get("train")
    network = train.get("network") if isinstance(train, Mapping) else None
    return str(network.get("name", "")) if isinstance(network, Mapping) else str(network or "")
