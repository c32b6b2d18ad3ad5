"""Outputs and run-cache to the bucket and back: DVC's own transfer, looked at before and after."""

import re
from collections.abc import Callable
from typing import Any

from headrace.errors import ConfigError, EngineError, HeadraceError
from headrace.flow.launcher import Launcher, explain
from headrace.flow.workspace import hold_workspace
from headrace.settings import Settings
from headrace.storage.dvc_remote import Remote, check_verified, client_variables, default_remote

MAX_NAMED = 3
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
DOUBT = "headrace remote audit names what is missing or corrupted; --repair stores it again from a machine that has it."


def push(settings: Settings, say: Callable[[str], Any]) -> str:
    """Send outputs and run-cache, then see that all is there; what DVC took for sent and is not, is stored again.

    Raises:
        EngineError: it failed, or something is missing still.
    """
    remote = _remote(settings)
    say(f"to {remote.url}: outputs and run-cache")
    try:
        sent = int(_ask(settings, "push"))
    except EngineError as error:
        raise EngineError(f"{error} What arrived stays there: headrace push goes on from it.") from None
    if not remote.is_s3:
        return f"{sent:,} objects sent"
    from headrace.storage.audit import audit

    found = audit(settings, sample=0, repair=True)
    if found.left:
        first = found.left[0]
        raise EngineError(
            f"{len(found.left):,} of {found.objects:,} objects are not right in {remote.url} after the push, first {first.output} "
            f"({first.key}): {first.why}. {DOUBT}"
        )
    return f"{sent:,} objects sent; {found.headline}"


def pull(settings: Settings, say: Callable[[str], Any]) -> str:
    """Bring outputs and run-cache here and check the outputs out; every object is compared with its hash on the way.

    Raises:
        ConfigError: the remote does not check what it gives.
        EngineError: it failed: the server, or an object that is missing or corrupted.
    """
    remote = _remote(settings)
    say(f"from {remote.url}: outputs and run-cache")
    with hold_workspace(settings.local):
        try:
            counts = _ask(settings, "pull")
        except EngineError as error:
            raise EngineError(f"{error}{_named(settings, remote)} {DOUBT}") from None
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    return "; ".join(told) if told else "everything is here already"


def _remote(settings: Settings) -> Remote:
    remote = default_remote(settings.project)
    if remote is None:
        raise ConfigError("this project has no remote. headrace remote add s3://bucket/prefix")
    check_verified(remote)
    return remote


def _named(settings: Settings, remote: Remote) -> str:
    """What a pull lacks, as far as the bucket tells: DVC only counts."""
    if not remote.is_s3:
        return ""
    from headrace.storage.audit import audit

    try:
        left = audit(settings, sample=0).left
    except HeadraceError as error:
        return f" {error}"
    names = ", ".join(f"{each.output} ({each.what}, {each.key})" for each in left[:MAX_NAMED])
    return f" Broken in the bucket: {names}{' and more' if len(left) > MAX_NAMED else ''}." if left else ""


def _ask(settings: Settings, operation: str) -> Any:
    log: list[str] = []
    with Launcher(settings.project, client_variables(settings)) as launcher:
        answer = launcher.perform(operation, log.append)
    if "result" not in answer:
        problem = explain(COLOURS.sub("", str(answer.get("error") or "it was killed")), settings.project)
        raise EngineError(f"{operation} failed: {problem}.")
    return answer["result"]
