"""A new stage in all its places: module, params section, dvc.yaml stanza, report and test. It runs at once."""

import keyword
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from headrace.errors import ConfigError, ParamsError
from headrace.params import did_you_mean, read_yaml
from headrace.project import dagedit, reference, schema
from headrace.project.lint import complete_stages
from headrace.project.needs import StageText, read_stages
from headrace.storage.local import write_bytes, write_text

_TAKEN_ARGUMENTS = {"params", "out", "report", "progress", "tracker", "fingerprint", "scratch", "device", "places"}

_MODULE = '''"""List the files of {path}: a working start, to be replaced by what this stage is for.

Run by the DAG: {command}
"""

from pathlib import Path

from headrace.params import Out, Report, Section
from headrace.storage.local import write_json


class Params(Section):
    """What can change the result."""

    suffix: str = ""
    """Only files whose name ends so are listed; empty: all."""


class {camel}Report(Report):
    """What came out."""

    files: int
    bytes: int


def run(params: Params, *, {argument}: Path, out: Out) -> {camel}Report:
    """Write the name and size of each file, in the order of their names."""
    found = sorted(path for path in [{argument}, *{argument}.rglob("*")] if path.is_file() and path.name.endswith(params.suffix))
    sizes = {{path.relative_to({argument}.parent).as_posix(): path.stat().st_size for path in found}}
    write_json(out, sizes)
    return {camel}Report(files=len(sizes), bytes=sum(sizes.values()))
'''

_TEST = '''"""The stage {name}."""

import json

from {module} import Params, run


def test_{name}_lists_the_files_with_the_suffix(tmp_path):
    """The report counts what the output holds."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("1")
    (tmp_path / "in" / "b.txt").write_text("22")

    report = run(Params(suffix=".csv"), {argument}=tmp_path / "in", out=tmp_path / "out.json")

    assert json.loads((tmp_path / "out.json").read_text()) == {{"in/a.csv": 1}}
    assert (report.files, report.bytes) == (1, 1)
'''

_STANZA = """{name}:
  cmd: >-
    {command}
  deps: [{path}]
  params: [{name}]
  outs: [{out}]
  metrics: [reports/{name}.json]
  meta: {{timeout_s: 600}}
"""

_SECTION = """
{name}:
  suffix: ""                 # only files whose name ends so; empty: all
"""

OPTIONAL = {
    "suspects": (
        "split",
        """suspects:
  cmd: >-
    python -m headrace.stages headrace.labels.suspects --splits data/splits --out reports/label_suspects.csv
    --report reports/suspects.json
  deps: [data/splits]
  params: [suspects]
  outs: [reports/label_suspects.csv]
  metrics: [reports/suspects.json]
  meta: {timeout_s: 3600}
""",
        """
suspects:
  folds: 5                   # each label is judged by a model fitted on the other folds
  max_records: 10000         # records looked at, drawn by seed
  seed: 17
""",
    )
}
"""Stages of this package that a project adds when it wants them: the stage they follow, stanza and section."""


def new_stage(project: Path, name: str, *, after: str) -> list[str]:
    """Add stage `name`, which reads the first output of stage `after`.

    Returns:
        A line for each file that was written or changed, then what to type next.

    Raises:
        ParamsError: the name is taken or is no Python name, or there is no stage `after`.
        ConfigError: the project's own package cannot be told, or `after` writes nothing.
    """
    root = project.resolve()
    stages = read_stages(read_yaml(root / "dvc.yaml"))
    _check_name(root, name, stages)
    path = _first_output(stages, after)
    module, module_file, test_file = _places(root, name)
    argument = _argument(path)
    cmd_name = name if module.startswith("headrace.") else module
    out = f"data/{name}.json"
    command = (
        f"python -m headrace.stages {cmd_name} --{argument.replace('_', '-')} {path} --out {out} --report reports/{name}.json"
    )
    values = {"name": name, "camel": name.title().replace("_", ""), "path": path, "argument": argument, "module": module}

    new = {module_file: _MODULE.format(**values, command=command), test_file: _TEST.format(**values)}
    for package in {module_file.parent, module_file.parent.parent}:
        if not (package / "__init__.py").exists():
            new[package / "__init__.py"] = ""
    dag = root / "dvc.yaml"
    stanza = _STANZA.format(**values, command=command, out=out)
    new[dag] = dagedit.insert_stage(dag.read_text(encoding="utf-8"), stanza, after=after)
    for params in [root / "params.yaml", *sorted((root / "recipes").glob("*.yaml"))]:
        new[params] = params.read_text(encoding="utf-8").rstrip("\n") + "\n" + _SECTION.format(**values)

    generated = _write_all(root, new, name)
    written = [file.relative_to(root).as_posix() for file in [*new, *generated]]
    return [*written, f"Now: headrace run --stage {name}; then write what {module_file.relative_to(root).as_posix()} is for."]


def add_stage(project: Path, name: str) -> list[str]:
    """Add an optional stage of this package to dvc.yaml, params.yaml and every recipe.

    Returns:
        A line for each file that was changed, then what to type next.

    Raises:
        ParamsError: there is no such stage, or the project has it.
        ConfigError: the project lacks the stage that it follows.
    """
    root = project.resolve()
    if name not in OPTIONAL:
        raise ParamsError(f"no optional stage is called '{name}'.{did_you_mean(name, OPTIONAL)} There is {', '.join(OPTIONAL)}.")
    stages = read_stages(read_yaml(root / "dvc.yaml"))
    _check_name(root, name, stages)
    after, stanza, section = OPTIONAL[name]
    if after not in {stage.name for stage in stages}:
        raise ConfigError(f"dvc.yaml has no stage '{after}', whose output '{name}' reads. Write the stanza by hand.")
    dag = root / "dvc.yaml"
    new = {dag: dagedit.insert_stage(dag.read_text(encoding="utf-8"), stanza, after=after)}
    for params in [root / "params.yaml", *sorted((root / "recipes").glob("*.yaml"))]:
        new[params] = params.read_text(encoding="utf-8").rstrip("\n") + "\n" + section
    generated = _write_all(root, new, name)
    return [*(file.relative_to(root).as_posix() for file in [*new, *generated]), f"Now: headrace run --stage {name}"]


def _write_all(root: Path, new: Mapping[Path, str], name: str) -> list[Path]:
    """Write the files, complete the stanza of stage `name`, and make anew what is generated from them; returns the latter."""
    generated = [path for path in (root / schema.NAME, root / reference.FOLDER / "params.md") if path.exists()]
    with _all_or_nothing([*new, *generated]):
        for file, text in new.items():
            write_text(file, text)
        complete_stages(root, only=name)
        if generated:
            typed = schema.sections(root)
            write_text(root / schema.NAME, schema.render(typed))
            if len(generated) > 1 or generated[0].name == "params.md":
                write_text(root / reference.FOLDER / "params.md", reference.params_page(typed))
    return generated


def _check_name(root: Path, name: str, stages: list[StageText]) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ParamsError(f"'{name}' cannot name a stage: use a verb in lower case, letters, digits and '_', such as 'clean'.")
    taken = {stage.name for stage in stages} | set(schema.FLOW_SECTIONS) | set(read_yaml(root / "params.yaml"))
    if name in taken:
        raise ParamsError(f"'{name}' is taken: dvc.yaml or params.yaml has it. Choose another name.")


def _first_output(stages: list[StageText], after: str) -> str:
    known = {stage.name: stage for stage in stages}
    if after not in known:
        raise ParamsError(f"--after {after}: dvc.yaml has no such stage.{did_you_mean(after, known)}")
    outs = [out if isinstance(out, str) else str(next(iter(out))) for out in known[after].body.get("outs") or []]
    if not outs:
        raise ConfigError(f"stage '{after}' has no outs to read. Choose another stage for --after.")
    return outs[0]


def _places(root: Path, name: str) -> tuple[str, Path, Path]:
    """Module name, its file and its test: in headrace's own tree for its own project, in the user's package otherwise."""
    if (root / "src" / "headrace").is_dir():
        package, tests = "headrace", root / "tests" / "unit" / "stages"
    else:
        package, tests = _own_package(root), root / "tests"
    file = root / "src" / package / "stages" / f"{name}.py"
    test = tests / f"test_{name}.py"
    for path in (file, test):
        if path.exists():
            raise ParamsError(f"{path.relative_to(root)} exists already. Choose another name, or remove it.")
    return f"{package}.stages.{name}", file, test


def _own_package(root: Path) -> str:
    packages = sorted(path.parent.name for path in (root / "src").glob("*/__init__.py"))
    with_stages = [name for name in packages if (root / "src" / name / "stages").is_dir()]
    candidates = with_stages or packages or [re.sub(r"\W", "_", root.name.lower()).lstrip("_0123456789") or "project"]
    if len(candidates) > 1:
        listed = ", ".join(candidates)
        raise ConfigError(f"src/ holds several packages ({listed}). Make a folder `stages` in the one that shall hold the stage.")
    return candidates[0]


def _argument(path: str) -> str:
    word = re.sub(r"\W", "_", Path(path).stem)
    return word if word.isidentifier() and not keyword.iskeyword(word) and word not in _TAKEN_ARGUMENTS else "source"


@contextmanager
def _all_or_nothing(paths: list[Path]) -> Iterator[None]:
    """Put every file back as it was when the block fails."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_bytes(path, content)
        raise
