"""Write requirements.lock, environment.json and the S3 server's swift.lock anew: python infra/lock.py [--upgrade] (`make lock`).

uv resolves once for all platforms we serve; installation stays pip's.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from headrace.project import environment
from headrace.storage.local import write_text

PROJECT = Path(__file__).resolve().parents[1]
SWIFT = "src/headrace/services/swift"
SWIFT_HEAD = (
    "# Written by infra/lock.py from swift.in: the environment of the local S3 server, which has Swift and nothing of ours.\n"
)


def without_hashes(lock: str, package: str) -> str:
    """The lock without the hashes of one package."""
    return re.sub(rf"(?m)^({re.escape(package)}==[^\n\\]*?) *\\\n(?:    --hash=\S+(?: \\)?\n)+", r"\1\n", lock)


def compile_lock(source: str, lock: Path, *options: str) -> str:
    """The lock that `source` resolves to now, starting from what `lock` pins. The file stays: an untouched one installs nothing anew."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / lock.name
        shutil.copyfile(lock, made)
        command = [sys.executable, "-m", "uv", "pip", "compile", source, *options, "--universal", "--fork-strategy", "fewest"]
        command += ["--generate-hashes", "--no-annotate", "--no-header", "--quiet", "--output-file", str(made), *sys.argv[1:]]
        subprocess.run(command, cwd=PROJECT, check=True)
        return made.read_text(encoding="utf-8")


def write_changed(path: Path, text: str) -> None:
    """Write a file only if it says something else now."""
    if path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def main() -> None:
    """Resolve, leave torch's hashes out, and write the files."""
    lock = PROJECT / environment.LOCK
    # The CPU and the CUDA build of torch have one version and different bytes.
    write_changed(lock, without_hashes(compile_lock("pyproject.toml", lock, "--group", "dev"), "torch"))
    packages = environment.write(PROJECT)
    doubled = [name for name, pinned in packages.items() if "|" in str(pinned)]
    note = f", in two versions: {', '.join(doubled)}" if doubled else ""
    sys.stdout.write(f"{environment.LOCK} and {environment.NAME}: {len(packages)} packages{note}\n")
    swift = PROJECT / f"{SWIFT}.lock"
    write_changed(swift, SWIFT_HEAD + compile_lock(f"{SWIFT}.in", swift, "--python-version", "3.11"))


if __name__ == "__main__":
    main()
