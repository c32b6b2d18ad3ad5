"""Every edge from a model back to its sources, read and hashed again; nothing is believed because it was right once.

An edge is `ok`, `broken`, or `gone`: what it led to is not on this machine or was never recorded, so it cannot be hashed again.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from headrace.lineage.code import code_edge
from headrace.lineage.edge import Edge, broken, gone
from headrace.lineage.evidence import Evidence, gather
from headrace.lineage.recorded import kept_edges, params_edge, source_list_edge, stages_edge, suite_edge, tags_edge
from headrace.lineage.registered import ledger_edge, package_edge, run_edge
from headrace.lineage.stored import output_edges, source_edges
from headrace.settings import Settings
from headrace.storage.dvc_objects import Objects
from headrace.tracking.facts import SHA256_TAG


def verify(settings: Settings, what: str) -> Iterator[Edge]:
    """Walk the chain of a model or run, named as for `headrace trace`, from its registered package to its sources.

    Raises:
        ParamsError: nothing of that name.
        EngineError: MLflow does not answer.
    """
    evidence = gather(settings, what)
    with tempfile.TemporaryDirectory(prefix="headrace-verify-") as temporary:
        package = None
        if evidence.version is not None:
            edge, package = package_edge(settings, evidence.version, Path(temporary))
            yield edge
            yield ledger_edge(settings, evidence.version)
        yield run_edge(evidence, package)
        yield from kept_edges(evidence)
        if not evidence.stages:
            yield (broken if _promises(evidence, "dvc.lock") else gone)(
                "dvc.lock", "no dvc.lock was kept, so nothing says what was read"
            )
            return
        objects = Objects(settings)
        parts: dict[str, Callable[[], Iterable[Edge]]] = {
            "tags": lambda: [tags_edge(evidence)],
            "params": lambda: [params_edge(evidence)],
            "suite": lambda: [suite_edge(evidence)],
            "stages": lambda: [stages_edge(evidence, objects)],
            "code": lambda: [code_edge(settings.project, evidence)],
            "sources": lambda: [source_list_edge(evidence), *source_edges(settings, evidence)],
            "outputs": lambda: output_edges(evidence, objects, package),
        }
        for name, look in parts.items():
            try:
                yield from look()
            except (AttributeError, KeyError, TypeError, ValueError) as error:  # a kept file that was changed into something else
                yield broken(name, f"what was recorded cannot be understood: {error!r}")


def _promises(evidence: Evidence, name: str) -> bool:
    return f"{SHA256_TAG}{name}" in evidence.tags
