"""The code that a model was made with: the files in dvc.lock against those of the recorded commit."""

import subprocess
import tempfile
from pathlib import Path

from headrace.fingerprint import file_md5
from headrace.lineage.edge import Edge, broken, fine, gone, some
from headrace.lineage.evidence import Evidence
from headrace.storage.dvc_remote import folder_md5

CHANGES = "changes.diff"


def code_edge(project: Path, evidence: Evidence) -> Edge:
    """Whether each dependency that git keeps is, in the recorded commit, what DVC says was read.

    Of a run with uncommitted changes, the recorded diff is applied to copies of the files first.
    """
    commit = evidence.commit
    if not commit:
        return gone("code", "no commit was recorded: the project was not in git")
    if git(project, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return gone("code", f"commit {commit[:8]} is not in this repository; `git fetch` may bring it")
    wanted = {
        str(dep["path"]): str(dep.get("md5", ""))
        for entry in evidence.stages.values()
        for dep in entry.get("deps") or []
        if not evidence.is_made(dep["path"]) and dep["path"] not in evidence.files
    }
    with tempfile.TemporaryDirectory(prefix="headrace-code-") as temporary:
        root = Path(temporary)
        present = _check_out(project, commit, sorted(wanted), root)
        if evidence.is_dirty and CHANGES in evidence.files:
            problem = _apply(root, evidence.files[CHANGES], present)
            if problem:
                return broken("code", f"the recorded changes do not fit commit {commit[:8]}: {problem}")
        wrong = []
        for path, md5 in wanted.items():
            found = _dvc_md5(root / path)
            if found is None and git(project, "check-ignore", "-q", path) is not None:
                continue  # data, no code: not in git on purpose
            if found != md5:
                wrong.append(f"{path} {'is not in it' if found is None else 'differs'}")
    state = " with the recorded changes" if evidence.is_dirty else ""
    if wrong:
        return broken("code", f"commit {commit[:8]}{state} is not what was run: {some(wrong)}")
    return fine("code", f"{len(wanted)} files and folders of commit {commit[:8]}{state}, as dvc.lock says")


def git(project: Path, *arguments: str, content: bytes | None = None) -> bytes | None:
    """Output of a git command as it is, None when it fails."""
    done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, check=False, input=content)
    return done.stdout if done.returncode == 0 else None


def _check_out(project: Path, commit: str, paths: list[str], root: Path) -> set[str]:
    """Write the files of a commit that lie at or below `paths` under `root`; returns their names."""
    listed = git(project, "ls-tree", "-r", "-z", "--name-only", commit, "--", *paths) or b""
    names = [name.decode() for name in listed.split(b"\0") if name]
    for name in names:
        content = git(project, "show", f"{commit}:./{name}")
        if content is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    return set(names)


def _apply(root: Path, diff: bytes, present: set[str]) -> str:
    """Apply the parts of a diff that concern the files under `root`; returns what went wrong, '' when nothing."""
    if not present:
        return ""
    include = [f"--include={name}" for name in sorted(present)]
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", *include, "-"], cwd=root, capture_output=True, check=False, input=diff
    )
    return "" if done.returncode == 0 else done.stderr.decode("utf-8", "replace").strip().splitlines()[0][:200]


def _dvc_md5(path: Path) -> str | None:
    """What DVC calls a file or folder: the MD5 of its bytes, or of the list of its files."""
    if path.is_file():
        return file_md5(path)
    if not path.is_dir():
        return None
    return folder_md5({file.relative_to(path).as_posix(): file_md5(file) for file in path.rglob("*") if file.is_file()})
