"""Write requirements.lock, environment.json and the smaller locks anew: python infra/lock.py [--upgrade] (`make lock`).

The smaller ones: the S3 server's (swift.lock), what images have beyond requirements.lock (kubernetes.lock, torch-cuda.lock), and the
linters of infra/ in an environment of their own (lint.lock).

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
HEAD = "# Written by infra/lock.py from {source}{what}.\n"
ENTRY = re.compile(r"(?m)^([A-Za-z0-9._-]+)==[^\n]*\n(?:    --hash=\S+(?: \\)?\n)*")


def without_hashes(lock: str, package: str) -> str:
    """The lock without the hashes of one package."""
    return re.sub(rf"(?m)^({re.escape(package)}==[^\n\\]*?) *\\\n(?:    --hash=\S+(?: \\)?\n)+", r"\1\n", lock)


def compile_lock(source: str, lock: Path, *options: str) -> str:
    """The lock that `source` resolves to now, starting from what `lock` pins. The file stays: an untouched one installs nothing anew."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / lock.name
        if lock.exists():
            shutil.copyfile(lock, made)
        command = [sys.executable, "-m", "uv", "pip", "compile", source, *options, "--universal", "--fork-strategy", "fewest"]
        command += ["--generate-hashes", "--no-annotate", "--no-header", "--quiet", "--output-file", str(made), *sys.argv[1:]]
        subprocess.run(command, cwd=PROJECT, check=True)
        return made.read_text(encoding="utf-8")


def beyond(lock: str, base: str, *, keep: str = "") -> str:
    """The lock without the packages of another one; `keep` stays."""
    known = {match[1] for match in ENTRY.finditer(base)} - {keep}
    return ENTRY.sub(lambda match: "" if match[1] in known else match[0], lock)


def write_changed(path: Path, text: str) -> None:
    """Write a file only if it says something else now."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
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
    write_image_locks(lock)
    lint = PROJECT / "infra/lint.lock"
    head = HEAD.format(source="lint.in", what=": the linters of infra/, in an environment of their own")
    write_changed(lint, head + compile_lock("infra/lint.in", lint, "--no-config", "--python-version", "3.11"))


def write_image_locks(lock: Path) -> None:
    """What an image has beyond requirements.lock, of versions that agree with it."""
    base = lock.read_text(encoding="utf-8")
    torch = next(line.split()[0] for line in base.splitlines() if line.startswith("torch=="))
    options = ("--no-config", "--python-version", "3.11", "--constraint", str(lock))
    kubernetes, cuda = PROJECT / "infra/kubernetes.lock", PROJECT / "infra/torch-cuda.lock"
    head = HEAD.format(source="kubernetes.in", what=": what a worker on Kubernetes has beyond requirements.lock")
    write_changed(kubernetes, head + beyond(compile_lock("infra/kubernetes.in", kubernetes, *options), base))
    with tempfile.NamedTemporaryFile(
        "w", suffix=".in"
    ) as source:  # no metadata of pyproject.toml here: it hides the CUDA packages
        source.write(f"{torch}\n")
        source.flush()
        head = HEAD.format(source="requirements.lock", what=": torch's CUDA build and what it brings, each with its hash")
        write_changed(cuda, head + beyond(compile_lock(source.name, cuda, *options), base, keep="torch"))


if __name__ == "__main__":
    main()
