"""Run one stage of the DAG: what the `cmd` of every stage in dvc.yaml calls.

    python -m headrace.stages split --validated data/validated --splits data/splits --report reports/split.json

Options come from the signature of the stage's `run`. Outputs are written to temporary siblings and renamed when all is done. The runner
fixes the thread count, refuses to work when installed packages differ from environment.json, and ends when the process that
started it dies.
"""

import gc
import sys
from pathlib import Path

from headrace.settings import load_settings, prepare_process


def main(arguments: list[str]) -> int:
    """Run the stage the arguments name; returns the exit code."""
    # Imports make objects that stay: looking for cycles among them takes up to 0.5 s of a stage. The runner enables it again.
    gc.disable()
    settings = load_settings(Path.cwd())
    prepare_process(settings)
    # Imported after the environment is fixed: a stage may pull in numpy or torch, which read it once.
    from headrace.stages._runner import run_stage

    code = run_stage(arguments, settings)
    gc.freeze()  # else the interpreter takes torch apart, object by object, before it ends
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
