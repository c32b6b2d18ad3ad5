"""`headrace init` from an installed package: a table becomes a gated model, code of one's own, an upgrade that reruns what it must."""

import csv
import json
import random
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.projects import GIT, REPOSITORY, Checkout

from headrace import dagfile
from headrace.params import read_yaml

Install = Callable[..., Path]
INTO_THE_WHEEL = (
    "LICENSE",
    "README.md",
    "dvc.yaml",
    "expectations",
    "model_card.md",
    "pipelines",
    "pyproject.toml",
    "recipes",
    "src",
)

OWN = {
    "network.py": '''
"""A bag of words in one layer."""

import torch
from torch import nn


class Bag(nn.Module):
    def __init__(self, vocabulary, width, num_classes):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocabulary, width, mode="mean", padding_idx=0)
        self.scores = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.scores(self.embedding(x))


def build(options, *, input_shape, num_classes):
    return Bag(input_shape[1], options["width"], num_classes)
''',
    "loss.py": '''
"""Brier score of the softmax."""

from torch.nn import functional


def brier(scores, labels, *, label_smoothing):
    wanted = functional.one_hot(labels, scores.shape[1]).float()
    return (scores.float().softmax(1) - wanted).square().sum(1).mean()
''',
    "transform.py": '''
"""A text with one word said twice."""


def stutter(text, draw):
    words = text.split()
    place = draw.randrange(len(words))
    return " ".join([*words[:place], words[place], *words[place:]])
''',
    "metric.py": '''
"""How often the label is among the two likeliest."""


def top_two(*, labels, probabilities):
    ranked = probabilities.argsort(axis=1)[:, -2:]
    return (ranked == labels[:, None]).any(axis=1).mean()
''',
    "source.py": '''
"""More texts, from a program instead of a file."""


def write(folder, options):
    words = " ".join(["the goal of the season and the team that won"] * 5)
    rows = [f'"{options["word"]} {words} number {n}",sport' for n in range(30)]
    (folder / "more.csv").write_text("Body Text,Kind\\n" + "\\n".join(rows) + "\\n")
''',
}

OWN_TABLE = {
    "diary.py": '''
"""A customer to a line, as `key=value` pairs."""

from headrace.formats.opening import iter_lines
from headrace.formats.record import RawRecord
from headrace.params import Section


class Options(Section):
    label: str


def read(files, options):
    for file in files:
        for number, line in enumerate(iter_lines(file), start=1):
            row = dict(pair.split("=") for pair in line.split(";"))
            label = row.pop(options.label)
            yield RawRecord(row, label, "", file.source, f"{file.name}:line {number}", content=line.encode())
''',
    "costs.py": '''
"""The evaluation of classes, and what the wrong answers cost."""

from dataclasses import replace

from pydantic import Field

from headrace.evaluation import classification
from headrace.evaluation.classification import draw


class Options(classification.Options):
    cost_of_a_mistake: float = Field(gt=0)
    """In euros."""


def judge(predictions, baselines, model, options):
    judged = classification.judge(predictions, baselines, model, options)
    cost = float((1 - judged.scores).mean()) * options.cost_of_a_mistake
    return replace(judged, metrics={**judged.metrics, "mean_cost": cost})
''',
}


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """`install("0.2.0", revisions={"evaluate": 2})`: build a wheel of the working tree, install it, return the folder to import from."""
    top = tmp_path_factory.mktemp("wheels")

    def make(version: str, *, revisions: dict[str, int] | None = None) -> Path:
        tree, target = top / f"tree-{version}", top / f"installed-{version}"
        for name in INTO_THE_WHEEL:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, tree / name)
        pyproject = tree / "pyproject.toml"
        pyproject.write_text(re.sub(r'(?m)^version = ".*"', f'version = "{version}"', pyproject.read_text(), count=1))
        environment = tree / "src/headrace/project/environment.py"
        code = environment.read_text()
        table = re.search(r"RESULT_REVISIONS: dict\[str, int\] = (\{.*?\})\n", code, re.DOTALL)
        assert table is not None
        environment.write_text(code.replace(table.group(0), table.group(0).replace(table.group(1), repr(revisions or {})), 1))
        for stage in ("collect", "train", "evaluate"):  # an upgrade changes files
            with (tree / f"src/headrace/stages/{stage}.py").open("a") as file:
                file.write(f"\n# {version}\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        wheels = ["wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(top / version), str(tree)]
        subprocess.run([*pip, *wheels], check=True, capture_output=True)
        wheel = next((top / version).glob("*.whl"))
        subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
        return target

    return make


def use(project: Checkout, installed: Path) -> None:
    """From now on the project's commands import this package."""
    project.variables["PYTHONPATH"] = str(installed)
    where = project.run(sys.executable, "-c", "import headrace; print(headrace.__file__)").stdout
    assert where.startswith(str(installed))


@pytest.fixture(scope="module")
def installed(install: Install) -> Path:
    """The first version."""
    return install("0.1.0")


def outside(top: Path, prefect_server: str, installed: Path) -> Checkout:
    """A folder without a project, for `headrace init`."""
    (top / "gitconfig").write_text("[user]\n\tname = Tester\n\temail = tester@example.invalid\n")
    made = Checkout(top, top / "home", {"PREFECT_API_URL": prefect_server, "GIT_CONFIG_GLOBAL": str(top / "gitconfig")})
    use(made, installed)
    return made


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, prefect_server: str, shared_data: Path, installed: Path) -> Checkout:
    """A project from 160 real articles in a table with capitals and spaces in its names."""
    top = tmp_path_factory.mktemp("own")
    taken: Counter[str] = Counter()
    with tarfile.open(shared_data / "bbc-news" / "bbc-fulltext.tar.gz") as members, (top / "My Articles.csv").open("w") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["No", "Body Text", "Kind"])
        for member in members:
            _, kind, name = [*member.name.split("/"), "", ""][:3]
            content = members.extractfile(member) if name.endswith(".txt") else None
            if content is not None and kind in ("sport", "tech") and taken[kind] < 80:
                taken[kind] += 1
                rows.writerow([taken.total(), " ".join(content.read().decode("latin-1").split()[:60]), kind])
    place = outside(top, prefect_server, installed)
    columns = ["--text", "Body Text", "--label", "Kind"]
    told = place.headrace("init", "My Project", "--task", "text-classification", "--data", "My Articles.csv", *columns).stdout
    made = Checkout(top / "My Project", place.home, place.variables)
    made.variables["TOLD"] = told
    return made


def commit(project: Checkout, message: str) -> None:
    project.run("git", "add", "-A")
    project.run(*GIT, "commit", "-q", "-m", message)


def test_what_it_tells_is_a_page_that_ends_with_what_to_type(project: Checkout) -> None:
    """Read by somebody who sees Headrace for the first time."""
    lines = project.variables["TOLD"].splitlines()

    assert len(lines) <= 25
    assert "  Kind       --label   category, sport (80), tech (80)" in lines
    assert lines[-3:] == ["Now:", "  cd 'My Project'", "  headrace run"]


def test_the_new_project_agrees_with_itself(project: Checkout) -> None:
    """Deps and keys are those of its one task, and all of it is committed."""
    told = project.headrace("lint", "--fix").stdout

    assert "agree" in told
    assert project.run("git", "status", "--porcelain").stdout == ""
    stages = dagfile.read_stanzas(project.folder)
    made = {out for stage in stages.values() for out in stage.outs}
    files = {dep for stage in stages.values() for dep in stage.deps if not made & {dep, *map(str, Path(dep).parents)}}
    assert [dep for dep in sorted(files) if not (project.folder / dep).exists()] == []  # what the reference project has
    collect = read_yaml(project.folder / "dvc.yaml")["stages"]["collect"]
    assert collect["params"] == [
        "collect",
        {"environment.json": ["headrace.collect", "numpy", "py3langid", "pyarrow"]},
    ]  # no decoder of pictures
    assert read_yaml(project.folder / "params.yaml")["collect"]["options"] == {
        "delimiter": ";",
        "payload": "Body Text",
        "label": "Kind",
    }


def test_then_one_command_gives_a_champion_that_passed_the_gate(project: Checkout) -> None:
    """`headrace init`, `cd`, `headrace run`."""
    states = project.states()
    verdict = json.loads((project.folder / "reports/evaluate.json").read_text())["verdict"]

    assert set(states.values()) == {"ran"}
    assert verdict["allowed"] is True
    assert "my-project version 1" in project.headrace("trace", "my-project@champion").stdout
    assert (project.folder / "reports/report.html").exists()
    commit(project, "First run")
    assert project.headrace("run").stdout.startswith("up to date")


def test_an_upgrade_that_changes_no_result_reruns_nothing(project: Checkout, install: Install) -> None:
    """Code of ours is no dep of a user's project; the result revisions are."""
    use(project, install("0.2.0"))
    told = project.headrace("lock").stdout

    assert "headrace==0.2.0" in told
    assert "agree" in project.headrace("lint").stdout
    assert project.headrace("run").stdout.startswith("up to date")


def test_code_of_ones_own_of_every_kind_is_a_name_in_params(project: Checkout) -> None:
    """Network, loss, transform, metric and source: nothing in the package is edited."""
    for name, text in OWN.items():
        (project.folder / "src" / "my_project" / name).write_text(text.lstrip())
    values = read_yaml(project.folder / "params.yaml")
    more = {"kind": "own", "name": "more", "function": "my_project.source:write", "options": {"word": "Again"}}
    project.set_param("collect", sources=[*values["collect"]["sources"], more], options={"payload": "Body Text", "label": "Kind"})
    articles = project.folder.parent / "My Articles.csv"
    articles.write_text(articles.read_text().replace(",", " ").replace(";", ","))
    project.set_param("augment", copies=1, policy={"own": "my_project.transform:stutter"})
    project.set_param(
        "train",
        trainer="network",
        network="my_project.network:build",
        network_options={"width": 32},
        loss="my_project.loss:brier",
    )
    metrics = {"top_two": "my_project.metric:top_two"}
    project.set_param("evaluate", options={"metrics": metrics}, thresholds={"min_top_two": 0.99}, allow_beaten=True)
    project.headrace("sources", "refresh")
    project.headrace("lint", "--fix")
    stages = read_yaml(project.folder / "dvc.yaml")["stages"]
    own = {name: [dep for dep in stage["deps"] if dep.startswith("src/")] for name, stage in stages.items()}
    states = project.states()
    report = json.loads((project.folder / "reports/evaluate.json").read_text())

    assert own == {
        "collect": ["src/my_project/source.py"],
        "validate": [],
        "split": [],
        "augment": ["src/my_project/transform.py"],
        "train": ["src/my_project/loss.py", "src/my_project/network.py", "src/my_project/transform.py"],
        "baseline": [],
        "evaluate": ["src/my_project/metric.py"],
        "package": ["src/my_project/network.py"],
    }
    assert set(states.values()) == {"ran"}
    assert report["metrics"]["top_two"] == 1.0
    assert json.loads((project.folder / "reports/collect.json").read_text())["rows"] == 190
    commit(project, "Code of my own")


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("metric.py", {"evaluate", "package"}),
        ("loss.py", {"train", "evaluate", "package"}),
        ("network.py", {"train", "evaluate", "package"}),
        ("transform.py", {"augment", "train", "evaluate", "package"}),
        ("source.py", {"collect", "validate", "split", "augment", "baseline", "train", "evaluate", "package"}),
    ],
)
def test_editing_it_reruns_the_stages_that_use_it_and_those_below(project: Checkout, module: str, stages: set[str]) -> None:
    """And no other: an idle rerun costs hours."""
    path = project.folder / "src" / "my_project" / module
    before = path.read_text()
    path.write_text(f"{before}\n# edited\n")
    plan = json.loads(project.headrace("run", "--dry-run", "--json").stdout)
    path.write_text(before)

    assert would_run(plan) == stages


def would_run(plan: dict) -> set[str]:
    return {name for name, stage in plan.items() if stage["would_run"]}


def test_an_upgrade_reruns_the_stage_whose_revision_rose_in_a_customised_project(project: Checkout, install: Install) -> None:
    """And what lies below it, as far as its result is another one."""
    use(project, install("0.3.0", revisions={"evaluate": 2}))
    refused = project.headrace("run", code=4).stderr
    told = project.headrace("lock").stdout
    states = project.states()

    assert "headrace lock" in refused
    assert "headrace==0.3.0" in told
    assert {
        name for name in ("collect", "validate", "split", "augment", "baseline", "train") if states[name] != "unchanged"
    } == set()
    assert states["evaluate"] == "ran"


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory, prefect_server: str, installed: Path) -> Checkout:
    """A project from 300 rows with semicolons, decimal commas, days first, blanks and a column that knows the answer."""
    top = tmp_path_factory.mktemp("table")
    drawn = random.Random(5)
    with (top / "customers.csv").open("w") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["customer", "joined", "fee", "plan", "refunded", "left"])
        for number in range(300):
            fee, plan = drawn.uniform(5, 95), drawn.choice(["basic", "full", ""])
            leaves = (fee > 50) != (drawn.random() < 0.1)
            day = f"{1 + number % 28:02}.0{1 + number % 9}.2024"
            rows.writerow(
                [f"C-{number:04}", day, f"{fee:.2f}".replace(".", ","), plan, day if leaves else "", "yes" if leaves else "no"]
            )
    place = outside(top, prefect_server, installed)
    place.headrace("init", "customers", "--task", "tabular", "--data", "customers.csv", "--target", "left")
    return Checkout(top / "customers", place.home, place.variables)


def test_a_table_becomes_a_champion_in_three_commands(customers: Checkout) -> None:
    """Nobody wrote a schema; the column that is there only once the answer is known is no feature."""
    states = customers.states()
    collect = read_yaml(customers.folder / "params.yaml")["collect"]

    assert set(states.values()) == {"ran"}
    assert {name: column["kind"] for name, column in collect["record"]["columns"].items()} == {
        "customer": "id",
        "joined": "date",
        "fee": "numeric",
        "plan": "categorical",
        "refunded": "ignore",
    }
    assert customers.report("validate")["quarantined"] == 0
    assert customers.report("evaluate")["verdict"]["allowed"] is True
    assert "customers version 1" in customers.headrace("trace", "customers@champion").stdout
    commit(customers, "First run")


def test_a_format_and_an_evaluation_of_ones_own_are_names_in_params(customers: Checkout) -> None:
    """The same customers, written otherwise, are the same records; the new metric is one that the gate may ask for."""
    for name, text in OWN_TABLE.items():
        (customers.folder / "src" / "customers" / name).write_text(text.lstrip())
    before = customers.report("evaluate")["metrics"]
    table = customers.folder.parent / "customers.csv"
    head, *lines = [line.split(";") for line in table.read_text().splitlines()]
    table.write_text("".join(";".join(f"{key}={cell}" for key, cell in zip(head, line, strict=True)) + "\n" for line in lines))
    customers.set_param("collect", format="customers:diary", options={"label": "left"})
    customers.set_param(
        "evaluate", evaluation="customers:costs", options={"cost_of_a_mistake": 20.0}, thresholds={"max_mean_cost": 8.0}
    )
    customers.headrace("sources", "refresh")
    customers.headrace("lint", "--fix")
    stages = read_yaml(customers.folder / "dvc.yaml")["stages"]
    states = customers.states()
    metrics = customers.report("evaluate")["metrics"]

    assert "src/customers/diary.py" in stages["collect"]["deps"]
    assert "src/customers/costs.py" in stages["evaluate"]["deps"]
    assert {states["collect"], states["evaluate"]} == {"ran"}
    assert customers.report("collect")["rows"] == 300
    assert metrics["mean_cost"] == pytest.approx(20 * (1 - metrics["accuracy"]))
    assert before.keys() <= metrics.keys()


def test_a_table_with_a_number_to_predict_becomes_a_champion_in_three_commands(
    tmp_path: Path, prefect_server: str, installed: Path
) -> None:
    """The same as for classes: limits, gate and tolerance are in the unit of the number."""
    drawn = random.Random(5)
    with (tmp_path / "houses.csv").open("w") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["house", "sold", "area", "district", "offer", "price"])
        for number in range(200):
            area, district = drawn.uniform(40, 240), drawn.choice(["north", "south", ""])
            price = 1000 * round(30 + 2.5 * area + (90 if district == "south" else 0) + drawn.gauss(0, 40))
            day, offer = f"{1 + number % 28:02}.0{1 + number % 9}.2024", price + drawn.randrange(1, 900)
            rows.writerow([f"H-{number:04}", day, f"{area:.1f}".replace(".", ","), district, offer, price if number else ""])
    place = outside(tmp_path, prefect_server, installed)
    told = place.headrace("init", "houses", "--task", "tabular-regression", "--data", "houses.csv", "--label", "price").stdout
    houses = Checkout(tmp_path / "houses", place.home, place.variables)
    states, evaluated = houses.states(), houses.report("evaluate")

    assert "offer predicts price alone" in told
    assert set(states.values()) == {"ran"}
    assert houses.report("validate")["quarantined"] == 1
    assert evaluated["verdict"]["allowed"] is True
    assert evaluated["metrics"]["mae"] < read_yaml(houses.folder / "params.yaml")["evaluate"]["thresholds"]["max_mae"]
    assert "houses version 1" in houses.headrace("trace", "houses@champion").stdout
