"""Every recipe whole, from its sources to the verdict: quality over seeds beside the best baseline, and what it costs.

    python benchmarks/recipes.py                                     all recipes, five seeds: hours on two cores
    python benchmarks/recipes.py digits news --seeds 5 --out docs/results.md

Runs `dvc repro evaluate` in a fresh clone with state of its own; sources come from HEADRACE_MIRROR where it is set. Seconds of "whole" are
those of the first seed, with nothing cached; every further seed trains and evaluates only. Rows of other recipes in `--out` stay.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from overhead import BIN, REPOSITORY
from ruamel.yaml import YAML

from headrace.evaluation.measures import say_name, say_value

HEAD = "| recipe | score | test records | candidate, seeds | best baseline | gate | whole, s | CPU s | each further seed, CPU s |"
LINE = re.sub(r"[^|]+", "---", HEAD)


@dataclass
class Site:
    """A clone with state of its own."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str) -> tuple[float, float]:
        """Wall and CPU seconds of a command and all that it starts."""
        before, began = _cpu_seconds(), time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
        return time.perf_counter() - began, _cpu_seconds() - before

    def evaluation(self) -> dict[str, Any]:
        """What `evaluate` found."""
        return dict(json.loads((self.folder / "reports" / "evaluate.json").read_text(encoding="utf-8")))

    def set_seed(self, seed: int) -> None:
        """Another training on the same split."""
        path, yaml = self.folder / "params.yaml", YAML()
        loaded = yaml.load(path.read_text(encoding="utf-8"))
        loaded["train"]["seed"] = seed
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(loaded, file)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(site: Site, recipe: str, seeds: int) -> str:
    """One row of the table."""
    begin(site, recipe)
    found, costs = [], []
    for seed in range(1, seeds + 1):
        site.set_seed(seed)
        costs.append(site.run("dvc", "repro", "-q", "evaluate"))
        found.append(site.evaluation())
    name = found[0]["score"]
    scores = [say_value(name, each["metrics"][name]) for each in found]
    best = found[0]["comparison"][0] if found[0]["comparison"] else None
    allowed = sum(each["verdict"]["allowed"] for each in found)
    spread = f" +- {statistics.stdev(scores):.4f}" if seeds > 1 else ""
    later = f"{statistics.mean(cpu for _, cpu in costs[1:]):.0f}" if seeds > 1 else ""
    beside = f"{say_value(name, best['score']):.4f} {best['model']}" if best else ""
    cells = [
        f"`{recipe}`",
        say_name(name),
        f"{found[0]['test_records']:,}",
        f"{statistics.mean(scores):.4f}{spread}",
        beside,
        f"allowed {allowed} of {seeds}",
        *(f"{cost:.0f}" for cost in costs[0]),
        later,
    ]
    return f"| {' | '.join(cells)} |"


def begin(site: Site, recipe: str) -> None:
    """Make the recipe the project's; the model that it starts from, which the recipe of that name makes, is promoted first."""
    text = (REPOSITORY / "recipes" / f"{recipe}.yaml").read_text(encoding="utf-8")
    if start := re.search(r"(?m)^  init_from: models:/([^@/\s]+)", text):
        begin(site, start[1])
        replace(site, environment={**site.environment, "HEADRACE_TRACKING": "true"}).run("headrace", "run", "--quiet")
    if folder := weights_of(recipe):
        (site.folder / folder.parts[0]).symlink_to(REPOSITORY / folder.parts[0])
    site.run("headrace", "recipe", "use", recipe, "--force")
    if start or folder:
        site.run("headrace", "sources", "refresh")


def weights_of(recipe: str) -> Path | None:
    """Folder that a recipe starts from, relative to the project; None where it needs none."""
    found = re.search(
        r"(?m)^  init_from: (?!models:)(\S+)", (REPOSITORY / "recipes" / f"{recipe}.yaml").read_text(encoding="utf-8")
    )
    return Path(found[1]) if found else None


def merged(before: str, rows: dict[str, str]) -> list[str]:
    """The rows of a page with these in place of their predecessors, by name."""
    known = {match[1]: match[0] for match in re.finditer(r"(?m)^\| `([^`]+)` \|.*$", before)}
    return [row for _, row in sorted((known | rows).items())]


def main() -> None:
    """Print the table, a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted(path.stem for path in (REPOSITORY / "recipes").glob("*.yaml"))
    parser.add_argument("recipes", nargs="*", default=known, help=f"of {', '.join(known)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="page to keep the table in, such as docs/results.md")
    options = parser.parse_args()
    if wrong := sorted({*options.recipes} - {*known}):
        parser.error(f"there is no recipe {', '.join(wrong)}")
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, Python {platform.python_version()}"
    print(f"{machine}, {options.seeds} seeds\n\n{HEAD}\n{LINE}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        own = {
            "HEADRACE_HOME": f"{temporary}/home",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HEADRACE_TRACKING": "false",
        }
        site = Site(Path(temporary) / "project", {**os.environ, **own})
        subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(site.folder)], check=True)
        site.run("headrace", "setup")
        rows = {}
        for recipe in options.recipes:
            if (folder := weights_of(recipe)) and not (REPOSITORY / folder).exists():
                print(f"{recipe} is left out: there is no {folder}, see the recipe's first lines", flush=True)
                continue
            rows[recipe] = measure(site, recipe, options.seeds)
            print(rows[recipe], flush=True)
            if options.out:
                write(options.out, rows)


def write(page: Path, rows: dict[str, str]) -> None:
    """Put the rows into the page's table; its text stays."""
    before = page.read_text(encoding="utf-8") if page.exists() else f"# Results\n\n{HEAD}\n{LINE}\n"
    top, _, rest = before.partition(f"{HEAD}\n{LINE}\n")
    after = rest.partition("\n\n")[2]
    text = "\n".join([f"{top}{HEAD}", LINE, *merged(rest, rows)]) + "\n" + (f"\n{after}" if after else "")
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
