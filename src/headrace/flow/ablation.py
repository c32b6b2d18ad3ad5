"""What a choice is worth: the pipeline with and without it, over seeds, compared on the same test records.

Each variant is an experiment of DVC in a folder of its own (`dvc exp run --temp`) with the shared cache: stages that the choice does not
reach are taken from there, and the workspace is not touched. Nothing is recorded in MLflow, and the experiments are removed again; what
they made stays in the cache, so that the same question asked twice is answered at once.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from headrace.errors import ConfigError, StageFailed
from headrace.evaluation.contract import read_model
from headrace.evaluation.measures import say_ends, say_name, say_value, write_value
from headrace.evaluation.significance import paired_bootstrap, unpaired_bootstrap
from headrace.params import did_you_mean, parse_section, read_yaml
from headrace.plugins import resolve
from headrace.processes import end_descendants
from headrace.project.version import Contents, Version
from headrace.settings import Settings, git
from headrace.storage.dvc_output import is_noise
from headrace.storage.dvc_remote import client_variables
from headrace.variables import child_environment

NAMED: dict[str, dict[str, Any]] = {
    "augment": {"augment.copies": 0, "augment.balance_to": 0, "train.augmentation": {}},
    "init_from": {"train.init_from": None},
    "calibrate": {"train.calibrate": False},
}
"""What to leave out under a name of its own, and the values that leave it out."""
SEED = "train.seed"
NEEDED = ("reports/predictions.parquet", "reports/baselines.parquet", "models/candidate/model.json")


@dataclass(frozen=True)
class Ablation:
    """What came out."""

    what: str
    without: dict[str, Any]
    """Params of the other variant."""
    score: str
    records: int
    """Of the test split."""
    records_without: int
    """Of the other variant's, where its split is another one."""
    scores: dict[int, tuple[float, float]]
    """By seed: with, and without."""
    difference: float
    """With minus without, mean of the seeds."""
    low: float
    high: float
    """Interval over test records, each record's score being the mean of the seeds."""
    confidence: float
    is_paired: bool
    """Whether both were tested on the same records. If not, the difference tells what a test split is worth, and nothing of the models."""


def ablate(settings: Settings, what: Sequence[str], say: Callable[[str], Any], *, seeds: int = 1) -> Ablation:
    """Run the pipeline up to `evaluate` with params.yaml as it is and with `what` left out, and compare the scores.

    Args:
        settings: of this machine and project.
        what: a name of `NAMED`, or `section.key=value` with the value of the variant without.
        say: prints one line.
        seeds: trainings of each variant, from `train.seed` on.

    Raises:
        ConfigError: it is unknown, is left out already, or changes the test records by more than another split.
        StageFailed: a stage of a variant failed.
    """
    if not git(settings.project, "rev-parse", "HEAD"):
        raise ConfigError("the project has no commit, and DVC makes its experiments from one. git commit, then again.")
    params = read_yaml(settings.project / "params.yaml")
    without = changes(what, params)
    say(f"without: {', '.join(_text(key, value) for key, value in without.items())}")
    first = int(_value(params, SEED) or 0)
    judged: dict[int, list[Any]] = {}
    for seed in range(first, first + seeds):
        for name, changed in (("with", {}), ("without", without)):
            say(f"seed {seed}, {name}")
            with _variant(settings, f"ablate-{name}-{seed}", {SEED: seed, **changed}) as version:
                judged.setdefault(seed, []).append(_judge(version, params))
    pairs = list(judged.values())
    is_paired = len({each.digest for pair in pairs for each in pair}) == 1
    if not is_paired and not all(key.startswith("split.") for key in without):
        raise ConfigError(f"{' '.join(what)} changes which records are tested, so the two cannot be compared record by record.")
    evaluate = params["evaluate"]
    confidence = float(evaluate.get("confidence", 0.95))
    with_, other = (np.mean([pair[side].scores for pair in pairs], axis=0, dtype=np.float64) for side in (0, 1))
    resampling = {"resamples": int(evaluate.get("resamples", 10_000)), "seed": int(evaluate.get("seed", 17))}
    interval = paired_bootstrap if is_paired else unpaired_bootstrap
    difference, low, high = interval(np.asarray(with_), np.asarray(other), **resampling, confidence=confidence)
    return Ablation(
        what=" ".join(what),
        without=without,
        score=pairs[0][0].score_name,
        records=pairs[0][0].records,
        records_without=pairs[0][1].records,
        scores={seed: (float(one.scores.mean()), float(other.scores.mean())) for seed, (one, other) in judged.items()},
        difference=difference,
        low=low,
        high=high,
        confidence=confidence,
        is_paired=is_paired,
    )


def changes(what: Sequence[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """The params of the variant without, by dotted key.

    Raises:
        ConfigError: a name or key is unknown, or nothing would differ.
    """
    found: dict[str, Any] = {}
    for each in what:
        if "=" not in each:
            if each not in NAMED:
                raise ConfigError(
                    f"nothing is called {each!r}.{did_you_mean(each, NAMED)} Known are {', '.join(NAMED)}, or section.key=VALUE."
                )
            found |= {key: value for key, value in NAMED[each].items() if _value(params, key) not in (None, value)}
            continue
        key, _, text = each.partition("=")
        try:
            value = YAML(typ="safe").load(text)
        except YAMLError as error:
            raise ConfigError(f"{each}: the value is no YAML: {' '.join(str(error).split())[:200]}") from None
        known = _keys(params)
        if "." not in key or key not in known:
            raise ConfigError(
                f"params.yaml has no {key}.{did_you_mean(key, known)} Write it there with the value that is used now."
            )
        if _value(params, key) != value:
            found[key] = value
    if not found:
        raise ConfigError(f"{' '.join(what)} is left out already: params.yaml would not change.")
    return found


def _keys(params: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in params.items():
        found += [f"{prefix}{key}", *(_keys(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [])]
    return found


def _value(params: Mapping[str, Any], key: str) -> Any:
    found: Any = params
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(key: str, value: Any) -> str:
    """As DVC reads a changed param: strings in quotes, everything else as YAML in one line."""
    if isinstance(value, str):
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"{key}='{quoted}'"
    if isinstance(value, Mapping):
        return f"{key}={{{','.join(_text(str(name), each).replace('=', ':', 1) for name, each in value.items())}}}"
    if isinstance(value, list):
        return f"{key}=[{','.join(_text('', each).removeprefix('=') for each in value)}]"
    return f"{key}={'null' if value is None else str(value).lower() if isinstance(value, bool) else value}"


@contextmanager
def _variant(settings: Settings, name: str, changed: Mapping[str, Any]) -> Iterator[Version]:
    """The project with these params, run up to `evaluate`; readable until the end of the block."""
    project = settings.project
    _remove(project, name)
    command = ["dvc", "exp", "run", "--temp", "--name", name]
    for key, value in changed.items():
        command += ["--set-param", _text(key, value)]
    environment = child_environment(without=("HEADRACE_PROJECT", "HEADRACE_RUN"), HEADRACE_TRACKING="false")
    process = subprocess.Popen(
        [*command, "evaluate"],
        cwd=project,
        env={**environment, **client_variables(settings)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        said, _ = process.communicate()
    except BaseException:
        end_descendants()
        raise
    if process.returncode != 0:
        told = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if not is_noise(line)]
        raise StageFailed(f"the variant {name} failed: {' '.join(told[-3:])[:600]}")
    try:
        yield Version(project, git(project, "rev-parse", _ref(project, name)), Contents(settings, lambda _: None))
    finally:
        _remove(project, name)


def _ref(project: Path, name: str) -> str:
    head = git(project, "rev-parse", "HEAD")
    return f"refs/exps/{head[:2]}/{head[2:]}/{name}"


def _remove(project: Path, name: str) -> None:
    git(project, "update-ref", "-d", _ref(project, name))


def _judge(version: Version, params: Mapping[str, Any]) -> Any:
    """As the stage `evaluate` judged it; the scores of single records are in no report."""
    section = params["evaluate"]
    evaluation = resolve("evaluation", section["evaluation"], None, where="evaluate.evaluation")
    options = parse_section(section.get("options") or {}, "evaluate.options", evaluation.Options, where="params.yaml")
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, name in enumerate(NEEDED):
            content = version.read(name)
            if content is None:
                raise ConfigError(f"{name} of a variant is not in this machine's cache, or too large to be compared.")
            paths.append(Path(folder) / f"{number}-{Path(name).name}")
            paths[-1].write_bytes(content)
        predictions, baselines, model = paths
        return evaluation.judge(predictions, baselines, read_model(model), options)


def in_words(found: Ablation) -> list[str]:
    """For people: the verdict last."""
    name = found.score
    said = {seed: [say_value(name, score) for score in pair] for seed, pair in found.scores.items()}
    with_, without = (write_value(name, sum(pair[side] for pair in said.values()) / len(said)) for side in (0, 1))
    seeds = [
        f"  seed {seed}: {write_value(name, one)} with, {write_value(name, other)} without" for seed, (one, other) in said.items()
    ]
    ends = say_ends(name, found.low, found.high)
    difference, low, high = (write_value(name, value, sign=True) for value in (say_value(name, found.difference), *ends))
    shown = "better" if found.low > 0 else "worse" if found.high < 0 else ""
    choice = f"params.yaml in place of {found.what}" if "=" in found.what else found.what
    verdict = f"{choice} is shown to make it {shown}" if shown else f"{choice} is not shown to make a difference"
    interval = f"{found.confidence:.0%} interval over the records {low} to {high}"
    if not found.is_paired:
        shown = "higher" if ends[0] > 0 else "lower" if ends[1] < 0 else ""
        verdict = f"the test split of params.yaml scores {shown or 'neither higher nor lower, as far as is shown'}"
        return [
            *(seeds if len(seeds) > 1 else []),
            f"{say_name(name)} {with_} with ({found.records:,} test records), {without} without ({found.records_without:,} others)",
            f"difference {difference}, {interval}: {verdict}",
        ]
    return [
        *(seeds if len(seeds) > 1 else []),
        f"{say_name(name)} {with_} with, {without} without; {found.records:,} test records",
        f"difference {difference}, {interval}: {verdict}",
    ]
