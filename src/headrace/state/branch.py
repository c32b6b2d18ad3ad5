"""The state branch: what scheduled runs hand on, on the git remote. A push is the compare-and-swap, a protected branch the approval.

Nothing here touches a checkout: commits are made from stored objects and pushed by name, never by force.
"""

import random
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import ConfigError, EngineError, StateRefused
from headrace.settings import Settings
from headrace.state.git import Answer, Repository

TRIES = 30
"""Pushes of others that may come in between, one after the other, before a push is given up."""

MAX_PAUSE_S = 0.5

RACED = re.compile(r"\[rejected\]|cannot lock ref|failed to update ref|incorrect old value|reference already exists|stale info")
REFUSED = re.compile(r"\[remote rejected\]|denied|not allowed|forbidden|\b403\b|read[- ]only", re.IGNORECASE)


@dataclass(frozen=True)
class StateBranch:
    """A branch of a git remote."""

    repository: Repository
    remote: str
    name: str

    @property
    def title(self) -> str:
        """For messages: headrace/state of origin."""
        return f"{self.name} of {self.remote}"

    def tip(self, *, depth: int | None = None) -> str | None:
        """The commit that the remote has there now, fetched, with its history or only so much of it; None without such a branch.

        Raises:
            EngineError: the remote does not answer.
        """
        found = self._advertised(f"refs/heads/{self.name}")
        if found is not None:
            self.fetch(found, f"refs/heads/{self.name}", depth=depth)
        return found

    def main(self, *, depth: int | None = None) -> str | None:
        """The newest commit of the remote's default branch, fetched; None where the remote is empty."""
        found = self._advertised("HEAD")
        if found is not None:
            self.fetch(found, "HEAD", depth=depth)
        return found

    def fetch(self, commit: str, ref: str, *, depth: int | None = None) -> None:
        """Bring a commit that the remote has under `ref`; moves no ref here, so that two processes never wait for each other."""
        if not self.repository.holds(commit):
            # A full clone stays one: a depth would cut its history off.
            is_shallow = depth is not None and self.repository.get("rev-parse", "--is-shallow-repository") == "true"
            cut = [f"--depth={depth}"] if is_shallow else []
            options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", *cut]
            answer = self.repository.ask("fetch", *options, self.remote, ref)
            if not self.repository.holds(commit):
                raise EngineError(f"{self._unreachable(answer)} Run it again.")

    def add(self, change: Callable[[str | None], Mapping[str, bytes] | None], message: str) -> str | None:
        """Put a commit on top of the branch; when another push comes in between, ask for the change anew.

        Args:
            change: gets the tip (None: there is no branch yet); returns contents by path, None for nothing to do.
            message: of the commit.

        Returns:
            The new tip; None when there was nothing to do.

        Raises:
            StateRefused: the remote does not take pushes from this user.
            EngineError: the remote does not answer, or others push without end.
        """
        for attempt in range(TRIES):
            tip = self.tip()
            files = change(tip)
            if files is None:
                return None
            parent = tip or self.main()
            if parent is None:
                raise ConfigError(f"{self.remote} is empty: {self.name} builds on its default branch. Push that first.")
            with tempfile.TemporaryDirectory() as folder:
                tree = self.repository.tree_with(parent, files, index=Path(folder) / "index")
            commit = self.repository.commit(tree, [parent], message)
            if self.push(commit, on=tip):
                return commit
            pause(attempt)
        raise EngineError(f"{self.title}: others have pushed {TRIES} times in between. Try again.")

    def push(self, commit: str, *, on: str | None) -> bool:
        """Make `commit`, which builds on the tip `on`, the new tip; False when another push came first.

        Raises:
            StateRefused: the remote does not take pushes from this user.
            EngineError: the remote does not answer.
        """
        answer = self.repository.ask("push", "--porcelain", self.remote, f"{commit}:refs/heads/{self.name}")
        if answer.code == 0:
            return True
        said = f"{answer.text}\n{answer.error}"
        if RACED.search(said) or (self._advertised(f"refs/heads/{self.name}") != on):
            return False
        if REFUSED.search(said):
            raise StateRefused(
                f"{self.title} takes no push from here: {_reason(answer)}. Nothing was changed. A person who may push to it runs "
                f"the same command; that push is the approval."
            )
        raise EngineError(f"{self._unreachable(answer)} Nothing was changed.")

    def _advertised(self, ref: str) -> str | None:
        answer = self.repository.ask("ls-remote", self.remote, ref)
        if answer.code:
            raise EngineError(f"{self._unreachable(answer)} Nothing was changed.")
        return answer.text.split("\t")[0] if answer.text else None

    def _unreachable(self, answer: Answer) -> str:
        return f"the git remote {self.remote!r} does not answer as it should: {_reason(answer)}."


def pause(attempt: int) -> None:
    """Wait a moment of random length, so that two who met do not meet again."""
    time.sleep(random.uniform(0, min(MAX_PAUSE_S, 0.02 * 2**attempt)))


def state_branch(settings: Settings) -> StateBranch | None:
    """The state branch of this project, whether or not the remote has it yet; None without a git remote, or where it is switched off."""
    repository = Repository(settings.project)
    if not settings.state_branch or repository.ask("remote", "get-url", settings.git_remote).code:
        return None
    return StateBranch(repository, settings.git_remote, settings.state_branch)


def _reason(answer: Answer) -> str:
    """The lines in which git and the server say why."""
    lines = [line.strip() for line in f"{answer.text}\n{answer.error}".splitlines()]
    told = [
        line for line in lines if line.startswith(("!", "remote:", "fatal:", "error:")) and "failed to push some refs" not in line
    ]
    return "; ".join(" ".join(line.split()) for line in (told or lines))[:400].rstrip(".") or "no reason given"
