"""What a scheduled run asks first: has a source changed? Marks that cost nothing (ETag, listing, marker query), then data/sources.lock."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict

from headrace.params import Section, load_section, read_yaml
from headrace.settings import Settings
from headrace.sources.spec import Source, check_names

MAX_SHOWN = 10


class _Collect(Section):
    """Of the section `collect`, what says where records come from."""

    model_config = ConfigDict(extra="ignore")

    sources: Annotated[list[Source], AfterValidator(check_names)]


def refresh_sources(settings: Settings, say: Callable[[str], Any]) -> int:
    """Rewrite data/sources.lock if a source changed; returns how many files came, went or changed.

    A project whose params.yaml names no sources has nothing to refresh.

    Raises:
        SourceError: a source cannot be read.
    """
    path = settings.project / "params.yaml"
    if "sources" not in (read_yaml(path).get("collect") or {}):
        return 0
    from headrace.sources.fetch import refresh
    from headrace.sources.places import Places

    places = Places(settings.project, settings.downloads, settings.mirror, settings.download_budget_s)
    changes = refresh(load_section(path, "collect", _Collect).sources, settings.project / "data" / "sources.lock", places)
    for change in changes[:MAX_SHOWN]:
        say(f"{change.what} {change.source}: {change.file}")
    say(f"{len(changes):,} files of the sources came, went or changed" if changes else "no source has changed")
    return len(changes)
