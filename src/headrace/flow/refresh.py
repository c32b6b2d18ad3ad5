"""Has a source changed? Marks that cost nothing (ETag, listing, marker query), then data/sources.lock. A scheduled run asks it first."""

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, ConfigDict

from headrace.params import Section, load_section, read_yaml
from headrace.settings import Settings
from headrace.sources.spec import Source, check_names

if TYPE_CHECKING:
    from headrace.sources.snapshot import Change

MAX_SHOWN = 10


class _Collect(Section):
    """Of the section `collect`, what says where records come from."""

    model_config = ConfigDict(extra="ignore")

    sources: Annotated[list[Source], AfterValidator(check_names)]


def refresh_sources(settings: Settings, *, full: bool = False) -> "list[Change]":
    """Rewrite data/sources.lock if a source changed; returns the files that came, went or changed.

    A project whose params.yaml names no sources has nothing to refresh.

    Args:
        settings: of this machine and project.
        full: believe no mark and read everything again.

    Raises:
        SourceError: a source cannot be read.
    """
    path = settings.project / "params.yaml"
    params = read_yaml(path)
    if "sources" not in (params.get("collect") or {}):
        return []
    from headrace.sources.fetch import refresh
    from headrace.sources.initial import asked_for
    from headrace.sources.places import places_of

    sources, lock = load_section(path, "collect", _Collect).sources, settings.project / "data" / "sources.lock"
    return refresh(sources, lock, places_of(settings), full=full, init_from=asked_for(params))


def in_words(changes: "list[Change]") -> list[str]:
    """For people and logs: the first of them, and how many there are."""
    if not changes:
        return ["no source has changed"]
    shown = [f"{change.what:<8} {change.source}: {change.file}" for change in changes[:MAX_SHOWN]]
    return [
        *shown,
        f"{len(changes):,} {'file' if len(changes) == 1 else 'files'} came, went or changed: data/sources.lock is new",
    ]
