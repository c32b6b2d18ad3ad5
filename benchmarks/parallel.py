"""Six independent stages of five seconds in one flow: wall time, and whether DVC's locks ever get in each other's way.

    python benchmarks/parallel.py                    twenty runs with six stages at a time
    python benchmarks/parallel.py --runs 5 --max-stages 3

The stages sleep, so that what is measured is the flow and not the cores. Every run is checked: all six have to end as `ran`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from overhead import BIN, make_project, server

STAGES, SECONDS = "abcdef", 5


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--max-stages", type=int, default=len(STAGES), help="stages at a time (HEADRACE_MAX_STAGES)")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HEADRACE_HOME": str(top / "home"),
            "HEADRACE_MAX_STAGES": str(options.max_stages),
        }
        project = make_project(top / "project", {name: [] for name in STAGES}, before=f"sleep {SECONDS}; ")
        with server(top / "server", environment) as url:
            environment["PREFECT_API_URL"] = url
            took = []
            for number in range(options.runs):
                (project / "round.txt").write_text(f"{number}\n")
                started = time.perf_counter()
                done = subprocess.run(
                    [BIN / "headrace", "run", "--json"], cwd=project, env=environment, capture_output=True, text=True, check=False
                )
                took.append(time.perf_counter() - started)
                if done.returncode:
                    raise SystemExit(f"run {number} ended with {done.returncode}:\n{done.stderr[-2000:]}")
                states = json.loads(done.stdout)["stages"]
                if any(states[name] != "ran" for name in STAGES):
                    raise SystemExit(f"run {number}: {states}")
    serial = len(STAGES) * SECONDS
    median = statistics.median(took)
    print(
        f"six stages of {SECONDS} s, {options.max_stages} at a time: {median:.1f} s ({min(took):.1f} to {max(took):.1f}), "
        f"{median / serial:.2f} of the serial {serial} s; {options.runs} runs, no lock error"
    )


if __name__ == "__main__":
    main()
