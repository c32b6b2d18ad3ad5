"""What a scheduled run with nothing to do costs, from pick-up by a worker to Completed.

Needs servers and a deployment: `headrace up --detach && headrace deploy`, and one run of it that has brought everything up to date.

    python benchmarks/scheduled.py --runs 5
"""

import argparse
import statistics
import time
from typing import Any

from headrace.settings import load_settings, prepare_process

POLL_S = 0.2


def main() -> None:
    """Run the deployment so many times, one after the other, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployment", default="train/train")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    prepare_process(load_settings())
    from prefect.client.orchestration import get_client  # it reads the server's address while it is imported

    found = []
    print("| run | taken -> running s | running -> completed s | in all s | ends |\n|---|---|---|---|---|")
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(arguments.deployment)
        for number in range(1, arguments.runs + 1):
            run = client.create_flow_run_from_deployment(deployment.id)
            while not (state := client.read_flow_run(run.id).state) or not state.is_final():
                time.sleep(POLL_S)
            times: dict[Any, Any] = {each.name: each.timestamp for each in client.read_flow_run_states(run.id)}
            if state.name != "Completed":
                raise SystemExit(f"the run ended as {state.name}: {state.message}")
            start = (times["Running"] - times["Pending"]).total_seconds()
            work = (times["Completed"] - times["Running"]).total_seconds()
            found.append(start + work)
            print(f"| {number} | {start:.1f} | {work:.1f} | {start + work:.1f} | {state.name} |")
    print(f"\nmedian {statistics.median(found):.1f} s, worst {max(found):.1f} s")


if __name__ == "__main__":
    main()
