"""Remove from this environment what nothing of the named packages needs: python prune.py headrace[postgres] prefect-kubernetes.

Run by infra/Dockerfile. The lock holds the tools of developers too; a server has no use for a compiler of types or a browser's driver.
"""

import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

KEPT = {"pip", "setuptools"}
"""pip: the one that removes. setuptools: torch imports it."""


def needed(wanted: Iterable[str]) -> set[str]:
    """Names of installed packages that the wanted ones need, with themselves."""
    waiting = [Requirement(each) for each in wanted]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            lines = requires(one.name) or []
        except PackageNotFoundError:
            continue  # of another platform, or an alternative that the lock did not choose
        for line in lines:
            requirement = Requirement(line)
            extras = one.extras or {""}
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras | {""}):
                waiting.append(requirement)
    return {name for name, _ in seen}


def main() -> None:
    """Remove them and say how many."""
    kept = needed(sys.argv[1:]) | KEPT
    installed = {canonicalize_name(each.metadata["Name"]) for each in distributions()}
    missing = {canonicalize_name(Requirement(each).name) for each in sys.argv[1:]} - installed
    if missing:
        sys.exit(f"not installed: {', '.join(sorted(missing))}")
    # torch's CUDA packages are of its own lock: named here only where they are.
    surplus = sorted(name for name in installed - kept if not name.startswith(("nvidia-", "cuda-", "triton")))
    if surplus:
        subprocess.run([sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", *surplus], check=True)
    sys.stdout.write(f"{len(surplus)} packages removed: {', '.join(surplus)}\n")


if __name__ == "__main__":
    main()
