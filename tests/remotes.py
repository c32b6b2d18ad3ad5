"""Git remotes for tests: bare repositories in temporary folders, and clones as several machines have them."""

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.projects import GIT


def git(folder: Path, *arguments: str) -> str:
    """A git command that must go well."""
    done = subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {shlex.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@dataclass
class Remote:
    """A bare repository with a branch `main`."""

    folder: Path

    def clone(self, folder: Path, *options: str) -> Path:
        """A clone; by URL, so that `--depth` has an effect."""
        git(folder.parent, "clone", "-q", *options, self.folder.as_uri(), str(folder))
        return folder

    def tip(self, branch: str) -> str:
        """The commit of a branch, '' without one."""
        return subprocess.run(
            ["git", "rev-parse", "--verify", "-q", f"refs/heads/{branch}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()

    def read(self, branch: str, path: str) -> str:
        """A file of a branch."""
        return git(self.folder, "show", f"{branch}:{path}")

    def protect(self, branch: str) -> None:
        """Refuse pushes to a branch, as a protected branch does."""
        hook = self.folder / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(
            f'#!/bin/sh\nwhile read old new ref; do\n  [ "$ref" = "refs/heads/{branch}" ] && '
            'echo "GH006: Protected branch update failed" >&2 && exit 1\ndone\nexit 0\n'
        )
        hook.chmod(0o755)

    def unprotect(self) -> None:
        """Take pushes again."""
        (self.folder / "hooks" / "pre-receive").unlink()


def make_remote(folder: Path, files: dict[str, str]) -> Remote:
    """A bare repository whose main has these files."""
    work = folder.with_name(f"{folder.name}-first")
    for name, text in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "First")
    git(folder.parent, "clone", "-q", "--bare", str(work), str(folder))
    return Remote(folder)
