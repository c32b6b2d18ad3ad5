"""git as a child process: argument lists, no prompt, no hook of the user's, and no secret of a URL in what it says."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import ConfigError, EngineError
from headrace.tracking.secrets import strip_secrets
from headrace.variables import child_environment

PATIENCE_S = 120.0
"""A fetch or push that takes longer is given up."""

NOBODY = ("Headrace", "headrace@localhost")
"""Who commits where git knows no name, as in a pod."""


@dataclass(frozen=True)
class Answer:
    """What a git command said."""

    code: int
    out: bytes
    error: str
    """Without secrets."""

    @property
    def text(self) -> str:
        """Its output without the last newline."""
        return self.out.decode("utf-8", "replace").strip()


@dataclass(frozen=True)
class Repository:
    """A checkout, or a bare repository."""

    folder: Path

    def ask(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        patience_s: float = PATIENCE_S,
        variables: Mapping[str, str] | None = None,
    ) -> Answer:
        """Run a git command and tell how it ended, well or not.

        Raises:
            ConfigError: there is no git.
            EngineError: it took longer than `patience_s`.
        """
        # C: its words are read. No prompt: nobody is there at night to answer it.
        quiet = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_LFS_SKIP_SMUDGE": "1"}
        environment = child_environment() | quiet | dict(variables or {})
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self.folder,
                env=environment,
                input=stdin,
                capture_output=True,
                check=False,
                timeout=patience_s,
            )
        except FileNotFoundError:
            raise ConfigError("there is no `git` on the path. Install it.") from None
        except subprocess.TimeoutExpired:
            raise EngineError(f"git {arguments[0]} took longer than {patience_s:g} s and was ended. Try again.") from None
        return Answer(done.returncode, done.stdout, strip_secrets(done.stderr.decode("utf-8", "replace").strip()))

    def get(self, *arguments: str, stdin: bytes | None = None, variables: Mapping[str, str] | None = None) -> str:
        """Output of a git command that must go well.

        Raises:
            EngineError: it did not; with git's own words.
        """
        answer = self.ask(*arguments, stdin=stdin, variables=variables)
        if answer.code:
            said = " ".join((answer.error or answer.text).split())[:300]
            raise EngineError(f"git {arguments[0]} failed in {self.folder}: {said}.")
        return answer.text

    def holds(self, commit: str) -> bool:
        """Whether a commit is in this repository already."""
        return self.ask("cat-file", "-e", f"{commit}^{{commit}}").code == 0

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` builds on `old`."""
        return self.ask("merge-base", "--is-ancestor", old, new).code == 0

    def read(self, commit: str, path: str) -> bytes | None:
        """A file as a commit has it, None when it does not."""
        answer = self.ask("cat-file", "blob", f"{commit}:{path}")
        return answer.out if answer.code == 0 else None

    def commit(self, tree: str, parents: Sequence[str], message: str) -> str:
        """Store a commit of a tree that is stored; moves no branch."""
        order = [word for parent in parents for word in ("-p", parent)]
        return self.get("commit-tree", tree, *order, "-F", "-", stdin=message.encode(), variables=self.committer())

    def tree_with(self, commit: str, files: Mapping[str, bytes], *, index: Path) -> str:
        """Store the tree of a commit with some files replaced or added; neither checkout nor index of the user is touched.

        Args:
            commit: to start from.
            files: contents by path.
            index: a file that is free to use.
        """
        variables = {"GIT_INDEX_FILE": str(index)}
        self.get("read-tree", commit, variables=variables)
        lines = []
        for path, content in files.items():
            blob = self.get("hash-object", "-w", "--stdin", stdin=content)
            lines.append(f"100644 {blob}\t{path}\0")
        self.get("update-index", "-z", "--index-info", stdin="".join(lines).encode(), variables=variables)
        return self.get("write-tree", variables=variables)

    def committer(self) -> dict[str, str]:
        """Variables that name a committer where git knows none."""
        if self.ask("var", "GIT_COMMITTER_IDENT").code == 0 and self.ask("config", "user.email").code == 0:
            return {}
        name, address = NOBODY
        return {
            "GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": address, "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": address,
        }  # fmt: skip
