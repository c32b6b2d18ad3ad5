"""Make or mend a work pool: make_pools.py NAME TEMPLATE VARIABLE, the variable naming the image of its runs.

Run before each start of a worker; two at once write the same.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def with_image(template: dict[str, Any], image: str) -> dict[str, Any]:
    """The template with this image as the default of its runs."""
    template["variables"]["properties"]["image"]["default"] = image
    return template


def main(name: str, path: str, variable: str) -> int:
    """Write the pool; returns the exit status of Prefect's own command."""
    template = with_image(json.loads(Path(path).read_text(encoding="utf-8")), os.environ[variable])
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(template, file)
        file.flush()
        command = [
            "prefect",
            "work-pool",
            "create",
            name,
            "--type",
            "kubernetes",
            "--base-job-template",
            file.name,
            "--overwrite",
        ]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
