"""What surrounds every stage: options from the signature, checks before, atomic outputs, evidence after a failure."""

import argparse
import contextlib
import gc
import importlib
import inspect
import json
import os
import shutil
import signal
import sys
import traceback
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import dagfile
from headrace.errors import ConfigError, HeadraceError, OutOfMemory
from headrace.fingerprint import value_sha256
from headrace.listening import SilentTracker, Tracker
from headrace.params import Out, Report, Section, did_you_mean, load_section
from headrace.processes import PidFile, end_descendants, starter, watch
from headrace.project.environment import check_installed
from headrace.settings import Settings
from headrace.stages._progress import RichProgress, terminal_progress
from headrace.storage.local import replace_folder, write_json, write_text
from headrace.variables import variable

SUPPLIED = ("progress", "tracker", "fingerprint", "scratch", "device", "places")
"""Arguments of `run` that are no paths: the runner has them, not the command line."""


@dataclass(frozen=True)
class StageModule:
    """A stage's module, as the runner sees it."""

    name: str
    params: type[Section]
    run: Callable[..., Report]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    optional: tuple[str, ...]
    """Of both, those annotated `| None`: a dvc.yaml of before they came does not name them."""
    supplied: tuple[str, ...]


def load_stage(name: str) -> StageModule:
    """Import a stage: `train` is headrace/stages/train.py, `own_package.stages.clean` is the user's.

    Raises:
        ConfigError: no such module, or it lacks `Params` or `run`, or an argument of `run` is no path.
    """
    module_name = name if "." in name else f"headrace.stages.{name}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise
        known = [path.stem for path in Path(__file__).parent.glob("[a-z]*.py")]
        raise ConfigError(f"there is no stage '{name}': no module {module_name}.{did_you_mean(name, known)}") from None
    for attribute in ("Params", "run"):
        if not hasattr(module, attribute):
            raise ConfigError(
                f"{module_name} is no stage: it has no `{attribute}`. docs/how-to/add-a-stage.md shows what one needs."
            )
    hints = typing.get_type_hints(module.run, include_extras=True)
    keywords = [p.name for p in inspect.signature(module.run).parameters.values() if p.kind is p.KEYWORD_ONLY]
    paths = [k for k in keywords if k not in SUPPLIED]
    for keyword in paths:
        if hints.get(keyword) not in (Path, Out, Path | None, Out | None):
            raise ConfigError(f"{module_name}.run: '{keyword}' must be annotated Path (an input) or Out (an output).")
    return StageModule(
        name=name.rpartition(".")[2],
        params=module.Params,
        run=module.run,
        inputs=tuple(k for k in paths if hints[k] in (Path, Path | None)),
        outputs=tuple(k for k in paths if hints[k] in (Out, Out | None)),
        optional=tuple(k for k in paths if hints[k] in (Path | None, Out | None)),
        supplied=tuple(k for k in keywords if k in SUPPLIED),
    )


def run_stage(arguments: list[str], settings: Settings) -> int:
    """Run the stage that `arguments` name; prints one clear message instead of a stack trace. Returns the exit code."""
    name = arguments[0].rpartition(".")[2] if arguments and not arguments[0].startswith("-") else ""
    evidence = settings.local / "failed" / (name or "unknown")
    signal.signal(signal.SIGTERM, _terminated)
    try:
        _run(arguments, settings, evidence)
    except HeadraceError as error:
        return _fail(name, error, evidence, settings)
    except (KeyboardInterrupt, _Terminated) as stop:
        end_descendants()
        sys.stderr.write(f"\n{name}: stopped. Run the same command again to go on.\n")
        return 143 if isinstance(stop, _Terminated) else 130
    except Exception as error:  # noqa: BLE001  # the border: whatever a stage or a library raises becomes one message and a file
        return _fail(name, _translated(error), evidence, settings)
    return 0


def _run(arguments: list[str], settings: Settings, evidence: Path) -> None:
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError("name a stage: python -m headrace.stages STAGE --option path ... ; dvc.yaml has the commands.")
    _watch_starter()
    sys.path[:0] = [str(settings.project / "src"), str(settings.project)]
    # The flow knows by this mark that the stage was started, and that the evidence, if there is any, is of this time.
    shutil.rmtree(evidence, ignore_errors=True)
    write_text(settings.local / "executions" / evidence.name, variable("HEADRACE_RUN"))
    stage = load_stage(arguments[0])
    gc.freeze()
    gc.enable()  # __main__ had it off for the imports
    paths = _parse(stage, arguments[1:])
    stanza = dagfile.read_stanzas(settings.project).get(stage.name)
    if stanza is not None and stanza.environment:
        check_installed(stanza.environment, settings.project / "environment.json")
    params = load_section(settings.project / "params.yaml", stage.name, stage.params)
    made = dagfile.locked_outs(settings.project)
    fingerprint = _fingerprint(settings.project, stage, params, made)

    worker = PidFile(settings.local / "working" / f"{stage.name}.json")
    worker.take()

    finals = {key: paths[key] for key in (*stage.outputs, "report") if paths.get(key) is not None}
    temporaries = {key: _temporary(path) for key, path in finals.items()}
    try:
        with _listeners(stage, settings) as listeners:
            given: dict[str, Any] = {
                **{key: paths[key] for key in stage.inputs},
                **{key: temporaries.get(key) for key in stage.outputs},
                **{key: value for key, value in listeners.items() if key in stage.supplied},
            }
            if "fingerprint" in stage.supplied:
                given["fingerprint"] = fingerprint
            if "scratch" in stage.supplied:
                given["scratch"] = settings.scratch / fingerprint
            if "device" in stage.supplied:
                given["device"] = settings.device
            if "places" in stage.supplied:
                from headrace.sources.places import places_of

                given["places"] = places_of(settings)
            report = stage.run(params, **given)
        if "report" in temporaries:
            write_text(temporaries["report"], report.to_json())
        _require([key for key in finals if not temporaries[key].exists()], stage.name, finals)
        _refuse_edited(settings.project, stage, fingerprint, made)
        for key, temporary in temporaries.items():
            replace_folder(temporary, finals[key])
    except BaseException:
        _keep_evidence(temporaries, finals, evidence, params.model_dump(mode="json"))
        raise
    finally:
        worker.leave()


def _fingerprint(project: Path, stage: StageModule, params: Section, made: Mapping[str, str]) -> str:
    """Digest of all that DVC records as the reason for the stage's outputs; outside the DAG of its params alone."""
    values = params.model_dump(mode="json")
    stanza = dagfile.read_stanzas(project).get(stage.name)
    return dagfile.stage_fingerprint(project, stanza, values, made) if stanza else value_sha256(values)


def _refuse_edited(project: Path, stage: StageModule, fingerprint: str, made: Mapping[str, str]) -> None:
    # DVC looks at params and deps when a stage has ended: an edit meanwhile would be recorded as what made these outputs.
    # What other stages make is no person's to edit, and DVC lets none of them be remade while this stage reads it.
    if _fingerprint(project, stage, load_section(project / "params.yaml", stage.name, stage.params), made) != fingerprint:
        raise ConfigError(
            f"section '{stage.name}' of params.yaml, or a file that the stage depends on, was edited while it ran: its outputs "
            "would be taken for those of the new values. Run it again."
        )


def _require(missing: list[str], stage: str, finals: dict[str, Path]) -> None:
    if missing:
        raise ConfigError(f"stage {stage} ended without writing {', '.join(str(finals[key]) for key in missing)}.")


def _parse(stage: StageModule, arguments: list[str]) -> dict[str, Path]:
    parser = argparse.ArgumentParser(prog=f"python -m headrace.stages {stage.name}", allow_abbrev=False)
    for name in (*stage.inputs, *stage.outputs):
        role = "written" if name in stage.outputs else "read"
        required = name not in stage.optional
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, type=Path, required=required, help=f"path that is {role}")
    parser.add_argument("--report", type=Path, help="where the report is written")
    return vars(parser.parse_args(arguments))


def _temporary(path: Path) -> Path:
    # What a killed run left behind goes first; nobody else writes here, the pid file has seen to that.
    for stale in path.parent.glob(f".{path.stem}.partial-*"):
        shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")


def _keep_evidence(temporaries: dict[str, Path], finals: dict[str, Path], evidence: Path, params: Any) -> None:
    # Evidence is a help, never a second failure: a full disk must not hide the first message.
    with contextlib.suppress(OSError):
        evidence.mkdir(parents=True, exist_ok=True)
        write_json(evidence / "params.json", params)
        for key, temporary in temporaries.items():
            if temporary.exists():
                replace_folder(temporary, evidence / finals[key].name)


def _fail(name: str, error: HeadraceError, evidence: Path, settings: Settings) -> int:
    trace = "".join(traceback.format_exception(error.__cause__ or error))
    with contextlib.suppress(OSError):
        write_text(evidence / "error.json", json.dumps({"kind": type(error).__name__, "message": str(error)}, indent=2) + "\n")
        write_text(evidence / "traceback.txt", trace)
    if variable("HEADRACE_DEBUG"):
        sys.stderr.write(trace)
    lines = [f"{name or 'stage'} failed ({type(error).__name__}): {error}"]
    if evidence.exists():
        lines.append(f"  evidence: {evidence.relative_to(settings.project)}/")
    if not variable("HEADRACE_RUN") and name:
        lines.append(f"  the previous outputs are in the cache: dvc checkout -f {name}")
    sys.stderr.write("\n".join(lines) + "\n")
    return error.exit_code


def _translated(error: Exception) -> HeadraceError:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate memory" in text.lower():
        translated: HeadraceError = OutOfMemory(
            f"out of memory ({text[:200]}). Lower train.batch_size or train.micro_batch, or use a larger machine."
        )
    elif isinstance(error, OSError) and error.errno == 28:
        translated = HeadraceError(f"the disk is full: {error.filename or error}. Free space and run again; nothing was lost.")
    elif isinstance(error, PermissionError):
        translated = HeadraceError(f"no permission: {error.filename or error}. Check who owns it, then run again.")
    else:
        translated = HeadraceError(f"unexpected {text}. This is a fault of the program: its trace is in the evidence folder.")
    translated.__cause__ = error
    return translated


@contextlib.contextmanager
def _listeners(stage: StageModule, settings: Settings) -> Iterator[dict[str, Any]]:
    progress = terminal_progress()
    tracker: Tracker = SilentTracker()
    if "tracker" in stage.supplied and settings.tracking:
        from headrace.tracking.live import live_tracker

        tracker = live_tracker(settings, say=progress.say)
    try:
        yield {"progress": progress, "tracker": tracker}
        tracker.end("finished")
    except HeadraceError:
        tracker.end("failed")
        raise
    except BaseException:
        tracker.end("killed")
        raise
    finally:
        if isinstance(progress, RichProgress):
            progress.__exit__(None, None, None)


def _watch_starter() -> None:
    if variable("HEADRACE_NO_WATCH"):
        return

    def leave() -> None:
        # Whoever waited for this stage is gone; going on would write into a workspace that the next run believes to be its own.
        end_descendants()
        os._exit(137)

    watch(starter(), leave)


class _Terminated(BaseException):
    """SIGTERM arrived: unwinds like Ctrl-C."""


def _terminated(signum: int, frame: object) -> None:
    del signum, frame
    raise _Terminated
