"""What a challenger has to keep beside being good enough on the test split: limits of size and latency, and further test sets.

They only ever hold a challenger back, so they spend nothing of the year's error budget.
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from headrace.dataset.schema import INFO_NAME, read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import ConfigError
from headrace.evaluation.scores import Scores
from headrace.evaluation.significance import paired_bootstrap
from headrace.plugins import resolve
from headrace.registry.judgement import Conditions
from headrace.registry.packages import TRAINED_IDS, Package, read_ids, unseen
from headrace.registry.scoring import open_package, predict_package

WARM_UPS, CALLS = 5, 50


def over_limits(conditions: Conditions, package: Package, split: Path) -> list[str]:
    """Which limits the package exceeds, in words; empty: none.

    Args:
        conditions: of params.yaml.
        package: of the challenger.
        split: records to time it with.
    """
    found = []
    size = sum(path.stat().st_size for path in package.folder.rglob("*") if path.is_file()) / 1e6
    if conditions.max_mb is not None and size > conditions.max_mb:
        found.append(f"The package has {size:.3g} MB, conditions.max_mb allows {conditions.max_mb:g}.")
    if conditions.max_latency_ms is not None:
        took = latency_ms(package, split)
        if took > conditions.max_latency_ms:
            found.append(
                f"One record takes {took:.3g} ms on this machine, conditions.max_latency_ms allows {conditions.max_latency_ms:g}."
            )
    return found


def latency_ms(package: Package, split: Path) -> float:
    """Median wall time in milliseconds for one record, after a warm-up."""
    info = read_info(split)
    model = open_package(package)
    task = resolve("tasks", info.task, None, where="task of the test split")
    one = task.inputs(next(iter(iter_tables(split))).slice(0, 1), info.record)
    took = []
    for _ in range(WARM_UPS + CALLS):
        started = time.perf_counter()
        model.predict(one)
        took.append(time.perf_counter() - started)
    return statistics.median(took[WARM_UPS:]) * 1000


def worse_elsewhere(
    conditions: Conditions,
    ours: Package,
    theirs: Package,
    *,
    project: Path,
    cache: Path,
    resamples: int,
    seed: int,
    confidence: float,
) -> Iterator[str]:
    """The test sets on which the challenger may be worse, in words.

    Args:
        conditions: of params.yaml.
        ours: package of the challenger.
        theirs: package of the champion.
        project: folder that the sets' paths start from.
        cache: of predictions.
        resamples: bootstrap samples.
        seed: of the bootstrap.
        confidence: of the interval.

    Raises:
        ConfigError: a set is not there.
    """
    for name, where in sorted(conditions.test_sets.items()):
        folder = project / where
        if not (folder / INFO_NAME).exists():
            raise ConfigError(
                f"promote.conditions.test_sets: '{name}' is {where}, and {folder} is no data set (it has no {INFO_NAME}). A stage has to "
                "make one, or correct the path."
            )
        a, b = predict_package(ours, folder, cache=cache), predict_package(theirs, folder, cache=cache)
        compared, left_out = unseen(a.ids, read_ids(theirs.folder.parent / TRAINED_IDS))
        if not compared.size:
            yield f"'{name}' cannot be compared: the champion was trained on all of its {left_out} records."
            continue
        measure = "mean score" if isinstance(a, Scores) else "accuracy"
        difference, low, high = paired_bootstrap(
            a.values[compared], b.values[compared], resamples=resamples, seed=seed, confidence=confidence
        )
        # Written so that a NaN is never 'not worse'.
        if not low >= -conditions.max_regression:
            yield (
                f"On '{name}' the challenger may be worse: difference in {measure} {difference:+.4f}, interval {low:+.4f} to {high:+.4f}, "
                f"conditions.max_regression {conditions.max_regression:g} ({compared.size} records)."
            )
