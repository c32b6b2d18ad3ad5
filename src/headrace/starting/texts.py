"""The files of a new project as texts: params.yaml, dvc.yaml and the suite, each made from the reference project's own."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from headrace.params import read_yaml
from headrace.project import dagedit
from headrace.project.needs import read_stages
from headrace.starting.contract import FirstLook, Rule
from headrace.starting.measured import Measured

TEMPLATE = Path(__file__).resolve().parent / "template"
"""Files of the reference project, most of them links to it; a wheel has their contents."""

_LINE = 130


def template(name: str) -> str:
    """One file of the reference project."""
    return (TEMPLATE / name).read_text(encoding="utf-8")


def base_suite(task: str) -> list[Mapping[str, Any]]:
    """The expectations of a task, as the reference project has them."""
    return list(read_yaml(TEMPLATE / f"suite_{task}.yaml")["expectations"])


def judged_changes(measured: Measured) -> dict[str, tuple[Any, str]]:
    """A first gate for a classifier: better than always naming the largest class, and not much worse than the best baseline."""
    total = max(1, sum(measured.classes.values()))
    largest = max(measured.classes, key=lambda name: measured.classes[name])
    share = measured.classes[largest] / total
    least = round(share + (1 - share) / 5, 2)
    test = measured.splits.get("test") or max(1, total // 5)
    # Two equally good models that differ on a fifth of the records: the paired interval reaches 1.96 of its deviations below a
    # difference that chance alone puts 1.64 of them below zero once in 20 times.
    margin = max(0.02, math.ceil(100 * 3.6 * math.sqrt(0.2 / test)) / 100)
    changes: dict[str, tuple[Any, str]] = {
        "evaluate.thresholds.min_accuracy": (least, f"always saying {largest!r} reaches {share:.2f}; raise it to what you need"),
        "evaluate.thresholds.max_ece": (
            0.15 if total >= 2000 else 0.25 if test >= 36 else 0.35,
            "how far confidence and accuracy may differ",
        ),
        "train.calibrate": (True, ""),
        "evaluate.max_regression": (
            margin,
            f"of accuracy, below the best baseline: with {test:,} test records an equal model passes in 19 of 20 cases",
        ),
        "augment.copies": (0, "extra samples of every training record; 0 makes none"),
        "promote.require": ("not_worse", "better: shown to be, which takes thousands of test records between two good models"),
        "promote.max_regression": (
            0.02,
            "with not_worse: of accuracy, below the champion, at the lower bound of the paired interval",
        ),
    }
    given = {name for name, count in measured.splits.items() if name and count}
    if "validation" in given:
        changes["split.validation"] = (0, "the data bring one")
    return changes


def params_text(name: str, look: FirstLook, *, source: Mapping[str, Any], model: str) -> str:
    """params.yaml: the section `collect` of this data, the others of a recipe with what the look changes."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    plain = YAML()
    plain.width = _LINE
    plain.indent(mapping=2, sequence=4, offset=2)
    plain.representer.add_representer(type(None), lambda made, _: made.represent_scalar("tag:yaml.org,2002:null", "null"))
    recipe = template(f"recipe_{look.recipe}.yaml")
    rest = recipe[recipe.index("\nvalidate:") :]
    written = StringIO()
    collect = CommentedMap({key: value for key, value in look.collect.items() if value not in ({}, None)})
    for key in ("options", "record", "classes"):
        if key in collect:
            collect[key] = _flow(collect[key]) if key != "record" or not look.remarks else _block(collect[key])
    for described, remark in look.remarks.items():
        plain.width = max(plain.width, _explain(collect["record"]["columns"], described, remark))
    collect["sources"] = [dict(source)]
    plain.dump(CommentedMap({"collect": collect}), written)
    head = f"# {name}: every number that can change a result, one section per stage. Made by `headrace init`; it is yours to edit.\n\n"
    loaded = plain.load(head + written.getvalue() + rest)
    for dotted, (value, comment) in {**look.changes, "register.model": (model, "name in the registry")}.items():
        *path, key = dotted.split(".")
        node: Any = loaded
        for part in path:
            node = node[part]
        column = _comment_column(node, key)
        node[key] = _flow(value) if isinstance(value, dict | list) else value
        if comment and not node.fa.flow_style():
            node.yaml_add_eol_comment(comment, key, column=column)
    text = StringIO()
    plain.dump(loaded, text)
    lines = "".join(line.rstrip() + "\n" for line in text.getvalue().splitlines())
    return re.sub(r"(?m)(?<=\S)\n(?=[a-z]\w*:)", "\n\n", lines)  # an empty line goes with the comment it stood behind


def _flow(value: Any) -> Any:
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if not isinstance(value, dict | list):
        return value
    made: Any = CommentedMap(value) if isinstance(value, dict) else CommentedSeq(value)
    made.fa.set_flow_style()
    return made


def _block(record: Mapping[str, Any]) -> Any:
    """A schema of columns, one to a line."""
    from ruamel.yaml.comments import CommentedMap

    columns = CommentedMap({name: _flow(column) for name, column in record["columns"].items()})
    return CommentedMap({"columns": columns, **{key: _flow(value) for key, value in record.items() if key != "columns"}})


def _explain(columns: Any, name: str, remark: str) -> int:
    """A comment behind the line of a column, or above it where there is no room; the width of the line without it."""
    line = f"      {name}: {_plain_line(columns[name])}"
    if len(line) + len(remark) + 5 <= _LINE:
        columns.yaml_add_eol_comment(remark, name, column=min(len(line) + 3, _LINE))
    else:
        columns.yaml_set_comment_before_after_key(name, before="\n".join(_wrapped(remark)), indent=6)
    return len(line) + 1


def _wrapped(remark: str) -> list[str]:
    import textwrap

    return textwrap.wrap(remark, _LINE - 8)


def _comment_column(node: Any, key: str) -> int:
    token = (node.ca.items.get(key) or [None, None, None])[2]
    return int(token.start_mark.column) if token is not None else 29


def dag_text(revisions: Sequence[str]) -> str:
    """dvc.yaml of the reference project for an installed package: its files are no deps, its result revisions are.

    Args:
        revisions: stages that have one.
    """
    text = template("dag")
    for stage in read_stages(read_yaml(TEMPLATE / "dag")):
        own = [f"headrace.{stage.name}"] if stage.name in revisions else []
        text = dagedit.set_deps(text, stage.name, [dep for dep in stage.deps if not dep.startswith("src/")])
        text = dagedit.set_params(text, stage.name, stage.name, [*sorted([*stage.packages, *own]), *stage.groups])
    head = (
        "# The DAG: `dvc repro` and `headrace run` run it. Of the installed package only result revisions count (`headrace.<stage>` of\n"
        "# environment.json): an upgrade reruns a stage when its results changed. Deps on code of your own, in src/: headrace lint --fix\n"
    )
    return re.sub(r"\A(#.*\n)+", head, text)


def suite_text(project: str, look: FirstLook, rows: str) -> str:
    """The first suite, with a comment above each rule that says what it was taken from."""
    explained = re.search(r"(?ms)^# severity .*?(?=^version:)", template("suite_image_classification.yaml"))
    lines = [
        f"# What a record of {project} must look like, as Great Expectations of its measured columns. A first draft: it was taken from",
        f"# {rows}, as the comments say. Check each: what is rare today may be wrong, or may be new and right.",
        "#",
        *(explained.group(0).rstrip().splitlines() if explained else []),
        "version: 1",
        "expectations:",
    ]
    for rule in look.rules:
        lines += [*_comment(rule.taken_from), f"  - {_in_line(rule)}"]
    return "\n".join(lines) + "\n"


def quoted_path(path: Path) -> str:
    """As a shell needs it."""
    return shlex.quote(str(path))


def _comment(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, _LINE, initial_indent="  # ", subsequent_indent="  # ")


def _in_line(rule: Rule) -> str:
    return _plain_line(rule.body)


def _plain_line(body: Mapping[str, Any]) -> str:
    from ruamel.yaml import YAML

    plain = YAML()
    plain.width = 10_000
    written = StringIO()
    plain.dump(_flow(dict(body)), written)
    return written.getvalue().strip()
