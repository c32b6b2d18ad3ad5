"""How long `headrace trace` takes: in the project it is run in, from the store that its settings name.

    python benchmarks/trace.py digits                a model, or a run id; ten times
    python benchmarks/trace.py digits --runs 3

For comparison, the time that `import mlflow` alone takes in the same environment.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", help="as for headrace trace")
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    commands = {
        f"headrace trace {options.what}": [str(BIN / "headrace"), "trace", options.what],
        "import mlflow": [sys.executable, "-c", "import mlflow"],
    }
    for name, command in commands.items():
        took = [_seconds(command) for _ in range(options.runs)]
        print(f"{name:<32} median {statistics.median(took):.2f} s, at most {max(took):.2f} s, {options.runs} runs")


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
