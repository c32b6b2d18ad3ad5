"""Write requirements.lock and environment.json anew: python infra/lock.py [--upgrade] (`make lock`).

uv resolves once for all platforms we serve; installation stays pip's.
"""

import re
import subprocess
import sys
from pathlib import Path

from headrace.project import environment
from headrace.storage.local import write_text

PROJECT = Path(__file__).resolve().parents[1]


def without_hashes(lock: str, package: str) -> str:
    """The lock without the hashes of one package."""
    return re.sub(rf"(?m)^({re.escape(package)}==[^\n\\]*?) *\\\n(?:    --hash=\S+(?: \\)?\n)+", r"\1\n", lock)


def main() -> None:
    """Resolve, leave torch's hashes out, and write both files."""
    lock = PROJECT / environment.LOCK
    resolve = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--group", "dev", "--universal"]
    resolve += ["--fork-strategy", "fewest", "--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
    resolve += ["--output-file", str(lock), *sys.argv[1:]]
    subprocess.run(resolve, cwd=PROJECT, check=True)
    # The CPU and the CUDA build of torch have one version and different bytes.
    write_text(lock, without_hashes(lock.read_text(encoding="utf-8"), "torch"))
    packages = environment.write(PROJECT)
    doubled = [name for name, pinned in packages.items() if "|" in str(pinned)]
    note = f", in two versions: {', '.join(doubled)}" if doubled else ""
    sys.stdout.write(f"{environment.LOCK} and {environment.NAME}: {len(packages)} packages{note}\n")


if __name__ == "__main__":
    main()
