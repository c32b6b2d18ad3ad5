"""The image: what hadolint says, and that all it names is there."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from tests.infra import INFRA, lint, script
from tests.projects import REPOSITORY

DOCKERFILE = (INFRA / "Dockerfile").read_text()
IGNORE = (INFRA / "Dockerfile.dockerignore").read_text().splitlines()


def tracked(path: str) -> bool:
    """Whether git has the file, or something in the folder."""
    listed = subprocess.run(["git", "ls-files", "--", path], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return bool(listed.stdout.strip())


def instructions(text: str) -> list[tuple[str, str]]:
    """Instruction and argument, comments gone and lines joined."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    return [(line.split()[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def stages(text: str) -> dict[str, list[tuple[str, str]]]:
    """Instructions of each stage, those of the stages it is made from first."""
    found: dict[str, list[tuple[str, str]]] = {}
    current = ""
    for name, argument in instructions(text):
        if name == "FROM":
            base, _, current = argument.partition(" AS ")
            found[current] = list(found.get(base, []))
        elif current:
            found[current].append((name, argument))
    return found


def faults(text: str, ignore: list[str]) -> list[str]:
    """What hadolint does not see."""
    allowed = [line[1:] for line in ignore if line.startswith("!")]
    known = instructions(text)
    arguments = dict(argument.split("=", 1) for name, argument in known if name == "ARG" and "=" in argument)
    image = arguments.get("PYTHON_IMAGE", "")
    is_version = re.fullmatch(r"python:\d+\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", image)
    found = [] if is_version else [f"{image} is no version of Python's image"]
    found += ["ADD fetches and unpacks; COPY does not" for name, _ in known if name == "ADD"]
    copies = [argument for name, argument in known if name == "COPY" and not argument.startswith("--from=")]
    sources = {source for argument in copies for source in argument.split()[:-1]}
    found += [f"{source} is not in git" for source in sources if not tracked(source)]
    reaching = {source for source in sources if any(source == each or each.startswith(f"{source}/") for each in allowed)}
    found += [f"{source} does not reach the build: Dockerfile.dockerignore" for source in sources - reaching]
    found += [f"{target} {fault}" for target in ("cpu", "cuda") for fault in target_faults(stages(text).get(target, []))]
    installs = [command.strip() for command in re.findall(r"pip install [^&\n]*", text)]
    found += [f"{command} would take what no lock names" for command in installs if "--no-deps" not in command]
    exempt = ("--require-hashes", "torch.txt", "--no-build-isolation")
    found += [f"{command} checks no hash" for command in installs if not any(each in command for each in exempt)]
    return found


def target_faults(known: list[tuple[str, str]]) -> list[str]:
    """What an image is without."""
    last = dict(known)
    user = last.get("USER", "0").partition(":")[0]
    rules = {
        f"runs as {user}: not a number that no system user has": not user.isdigit() or int(user) < 10000,
        "has no init: zombies stay, signals are lost": "tini" not in last.get("ENTRYPOINT", ""),
        "has no health check": "127.0.0.1:8080/health" not in last.get("HEALTHCHECK", ""),
        "has no volume for its state": "/var/lib/headrace" not in last.get("VOLUME", ""),
    }
    return [rule for rule, is_broken in rules.items() if is_broken]


def test_the_image_has_no_fault() -> None:
    """Every file it copies is in git and reaches the build; it is no root, pinned and checked."""
    assert faults(DOCKERFILE, IGNORE) == []


def test_hadolint_is_content() -> None:
    """The linter of Dockerfiles, with shellcheck inside."""
    done = lint("hadolint", INFRA / "Dockerfile")

    assert (done.returncode, done.stdout) == (0, "")


BROKEN: dict[str, Callable[[str], str]] = {
    "is no version": lambda text: text.replace("python:3.11.14-slim-bookworm\n", "python:latest\n", 1),
    "is not in git": lambda text: text.replace("COPY infra/prune.py", "COPY infra/prunes.py", 1),
    "does not reach the build": lambda text: text.replace("COPY src ./src", "COPY tests ./src", 1),
    "runs as": lambda text: text.replace("USER 10001:10001", "USER root"),
    "has no init": lambda text: text.replace('ENTRYPOINT ["/usr/bin/tini", "--"]', 'ENTRYPOINT ["sh"]'),
    "has no health check": lambda text: text.replace("8080/health", "8080/"),
    "has no volume": lambda text: text.replace("VOLUME /var/lib/headrace", "VOLUME /data"),
    "checks no hash": lambda text: text.replace(
        "--require-hashes --no-deps --requirement kubernetes", "--no-deps --requirement k"
    ),
    "ADD fetches": lambda text: text.replace("COPY src", "ADD src", 1),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_image_is_found(fault: str) -> None:
    """Each check must be able to fail."""
    assert any(fault in each for each in faults(BROKEN[fault](DOCKERFILE), IGNORE))


def test_hadolint_can_fail(tmp_path: Path) -> None:
    """The linter that ran is the linter."""
    broken = tmp_path / "Dockerfile"
    broken.write_text(
        DOCKERFILE.replace("ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm", "").replace("${PYTHON_IMAGE}", "python")
    )

    assert "DL3006" in lint("hadolint", broken).stdout


@pytest.mark.parametrize(("digest", "line"), [("", "torch=={}"), ("ab" * 32, "torch=={} --hash=sha256:" + "ab" * 32)])
def test_the_cpu_build_asks_for_the_locked_torch(digest: str, line: str) -> None:
    """The command of the Dockerfile, run on the lock: with the wheel's hash where one is given."""
    command = re.search(r"sed -n .*? requirements\.lock", DOCKERFILE)
    assert command is not None
    done = subprocess.run(
        ["bash", "-c", command[0]],
        cwd=REPOSITORY,
        env={"TORCH_SHA256": digest, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    locked = re.search(r"(?m)^torch==(\S+)", (REPOSITORY / "requirements.lock").read_text())
    assert locked is not None

    assert done.stdout == line.format(locked[1]) + "\n"


def test_the_smaller_locks_agree_with_the_big_one() -> None:
    """Two locks that pin one package differently would install whichever comes last."""
    entry = re.compile(r"(?m)^([a-z0-9._-]+)==(\S+)")
    big = dict(entry.findall((REPOSITORY / "requirements.lock").read_text()))
    kubernetes = dict(entry.findall((INFRA / "kubernetes.lock").read_text()))
    cuda = dict(entry.findall((INFRA / "torch-cuda.lock").read_text()))

    assert "prefect-kubernetes" in kubernetes
    assert kubernetes.keys() & big.keys() == set()
    assert cuda.keys() & big.keys() == {"torch"}
    assert cuda["torch"] == big["torch"]
    for name in ("kubernetes.lock", "torch-cuda.lock", "lint.lock"):
        text = (INFRA / name).read_text()
        assert len(re.findall(r"(?m)^[a-z0-9._-]+==[^\n]*\\\n    --hash=sha256:", text)) == len(entry.findall(text)), name


def test_the_image_keeps_what_it_needs_and_no_tool_of_developers() -> None:
    """A type checker or a browser's driver in a server is only something to be attacked."""
    needed = script("prune.py").needed(["headrace[postgres]"])
    installed = {canonicalize_name(each.metadata["Name"]) for each in distributions()}

    assert {"headrace", "torch", "prefect", "mlflow", "psycopg-binary", "asyncpg", "flask-wtf", "s3fs"} <= needed
    assert {"mypy", "pytest", "ruff", "selenium", "hypothesis", "uv"} <= installed - needed


def test_the_dev_container_opens_a_target_of_the_image() -> None:
    """Paths in it are relative to its own folder."""
    folder = REPOSITORY / ".devcontainer"
    file = json.loads((folder / "devcontainer.json").read_text())
    build = file["build"]

    assert (folder / build["dockerfile"]).resolve() == INFRA / "Dockerfile"
    assert (folder / build["context"]).resolve() == REPOSITORY
    assert build["target"] in stages(DOCKERFILE)
    assert file["postCreateCommand"] == "make install"
    user = re.search(r"useradd .* (\w+) ", DOCKERFILE)
    assert user is not None
    assert file["remoteUser"] == user[1]
    assert shutil.which("make")
