"""Merging dvc.lock, data/sources.lock and the ledger by what they mean."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ConfigError
from headrace.project.lock_merge import merge, merge_files
from headrace.registry import ledger
from headrace.sources.snapshot import Lock, LockedFile, LockedInitial, LockedSource, read_lock, render

HASHES = st.sampled_from(["a" * 32, "b" * 32, "c" * 32])
ENTRIES = st.fixed_dictionaries(
    {
        "cmd": st.sampled_from(["python train.py", "python -m headrace.stages train " + "--option value " * 9]),
        "deps": st.lists(st.fixed_dictionaries({"path": st.just("data/raw"), "hash": st.just("md5"), "md5": HASHES}), max_size=2),
        "params": st.just({"params.yaml": {"train.lr": 0.1, "train.name": "no", "train.list": [1, "two", None]}}),
        "outs": st.lists(st.fixed_dictionaries({"path": st.just("out"), "md5": HASHES, "size": st.integers(0, 9)}), max_size=2),
    }
)
STAGES = st.dictionaries(st.sampled_from(["collect", "split", "train", "train@0", "yes", "1", "a:b"]), ENTRIES, max_size=5)


def dvc_lock(stages: dict[str, Any]) -> bytes:
    """As DVC writes it."""
    from dvc.utils.serialize import dumps_yaml

    return str(dumps_yaml({"schema": "2.0", "stages": stages})).encode()


def stages_of(content: bytes) -> dict[str, Any]:
    """As DVC reads it."""
    from dvc.utils.serialize import parse_yaml

    return dict(parse_yaml(content.decode(), "dvc.lock").get("stages") or {})


@settings(max_examples=40, deadline=None)
@given(STAGES, STAGES, STAGES)
def test_every_entry_is_that_of_a_side_that_changed_it(base: dict, ours: dict, theirs: dict) -> None:
    """Nothing is invented, nothing that one side alone did is lost."""
    merged = stages_of(merge("dvc.lock", dvc_lock(base), dvc_lock(ours), dvc_lock(theirs)).content)

    for name in {*base, *ours, *theirs}:
        was, mine, other = base.get(name), ours.get(name), theirs.get(name)
        if mine == was:
            assert merged.get(name) == other
        elif other == was or mine is not None:
            assert merged.get(name) == mine
        else:
            assert merged.get(name) == other


@settings(max_examples=40, deadline=None)
@given(STAGES, STAGES)
def test_an_unchanged_side_gives_way_byte_for_byte(base: dict, changed: dict) -> None:
    """A merge that decides nothing must not rewrite the file."""
    old, new = dvc_lock(base), dvc_lock(changed)

    assert merge("dvc.lock", old, old, new).content == new
    assert merge("dvc.lock", old, new, old).content == new
    assert merge("dvc.lock", old, new, new).content == new


@settings(max_examples=40, deadline=None)
@given(STAGES, STAGES, STAGES)
def test_the_result_is_written_as_dvc_writes_it(base: dict, ours: dict, theirs: dict) -> None:
    """Else the next run shows every line as changed."""
    merged = merge("dvc.lock", dvc_lock(base), dvc_lock(ours), dvc_lock(theirs)).content

    assert merged == dvc_lock(stages_of(merged))


def test_what_both_changed_stays_ours_and_is_told() -> None:
    """It cannot be wrong: DVC compares the entry with the files, and runs the stage where it does not fit."""
    sides = [dvc_lock({"train": {"cmd": word}, "split": {"cmd": "s"}}) for word in ("base", "ours", "theirs")]

    merged = merge("dvc.lock", *sides)

    assert stages_of(merged.content)["train"] == {"cmd": "ours"}
    assert "stage train; ours stays, and runs again if it is stale" in merged.notes[0]
    assert len(merged.notes) == 1


def test_both_may_have_made_the_first_lock() -> None:
    """There is no dvc.lock on main before somebody commits one: git hands over an empty ancestor."""
    merged = merge("dvc.lock", b"", dvc_lock({"a": {"cmd": "1"}}), dvc_lock({"b": {"cmd": "2"}}))

    assert list(stages_of(merged.content)) == ["a", "b"]


def source(name: str, files: dict[str, str], **more: str) -> LockedSource:
    return LockedSource(
        source={"kind": "files", "name": name},
        files=[LockedFile(name=file, url=f"file:{file}", size=1, sha256=digit * 64) for file, digit in files.items()],
        **more,
    )


def sources_lock(*sources: LockedSource) -> bytes:
    return render(Lock(sources=list(sources))).encode()


NAMES = st.dictionaries(st.sampled_from([f"{letter}.csv" for letter in "abcdef"]), st.sampled_from("123"), max_size=6)


@settings(max_examples=40, deadline=None)
@given(NAMES, NAMES, NAMES)
def test_files_of_a_source_are_merged_one_by_one(base: dict, ours: dict, theirs: dict) -> None:
    """Each night adds an object; a person adds another one on main."""
    sides = [sources_lock(source("s", dict(sorted(each.items())))) for each in (base, ours, theirs)]

    merged = Lock.model_validate_json(merge("data/sources.lock", *sides).content)

    found = {file.name: file.sha256[0] for file in merged.sources[0].files}
    for name in {*base, *ours, *theirs}:
        was, mine, other = base.get(name), ours.get(name), theirs.get(name)
        expected = other if mine == was else mine if (other == was or mine is not None) else other
        assert found.get(name) == expected
    assert list(found) == sorted(found), "in the order in which a refresh writes them"


def test_the_merge_of_sources_is_what_a_refresh_would_write(tmp_path: Path) -> None:
    """Then the refresh of the next night finds nothing to rewrite, and nothing runs for it."""
    base, ours, theirs = (sources_lock(source("s", files)) for files in ({"a": "1"}, {"a": "1", "c": "3"}, {"a": "1", "b": "2"}))
    path = tmp_path / "sources.lock"
    path.write_bytes(merge("data/sources.lock", base, ours, theirs).content)

    assert path.read_bytes() == sources_lock(source("s", {"a": "1", "b": "2", "c": "3"})) == render(read_lock(path)).encode()


def test_a_source_with_one_mark_for_all_is_taken_whole() -> None:
    """The mark says that these rows are what the query gave: rows of another night do not belong under it."""
    base, ours, theirs = (
        sources_lock(source("s", files, mark=mark))
        for files, mark in (({"a": "1"}, "m0"), ({"a": "2"}, "m1"), ({"a": "3"}, "m2"))
    )

    merged = merge("data/sources.lock", base, ours, theirs)

    assert merged.content == ours
    assert merged.notes == ["data/sources.lock: both sides changed all of it of source s; ours stays: headrace sources refresh"]


@pytest.mark.fault
@pytest.mark.parametrize("name", ["dvc.lock", "data/sources.lock", "ledger.jsonl"])
@pytest.mark.parametrize("garbage", [b"<<<<<<< HEAD\n{}\n=======\n>>>>>>> x\n", b"\xff\x00", b"[1, 2", b"a: &a [*a]\n"])
def test_garbage_on_one_side_is_left_to_a_person(name: str, garbage: bytes, tmp_path: Path) -> None:
    """Marks of an older merge, a file cut short, another file altogether: named with the commands to type; ours is untouched."""
    good = {"dvc.lock": dvc_lock({"a": {"cmd": "1"}}), "data/sources.lock": sources_lock(source("s", {}))}.get(name, b"")
    paths = [tmp_path / each for each in ("base", "ours", "theirs")]
    for path, content in zip(paths, (b"", good or b"\n", garbage), strict=True):
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        merge_files(*paths, name)

    assert name in str(caught.value)
    assert name == "ledger.jsonl" or f"git checkout --ours {name}" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert paths[1].read_bytes() == (good or b"\n")


def _written(path: Path, versions: list[int]) -> bytes:
    for version in versions:
        ledger.append(
            path, time="2026-01-01T00:00:00+00:00", action="look", model="m", version=version, previous_version=None, package="p",
            actor="ada",
        )  # fmt: skip
    return path.read_bytes()


def test_of_two_ledgers_the_longer_one_is_right_if_it_continues_the_other(tmp_path: Path) -> None:
    old = _written(tmp_path / "a", [1])
    new = _written(tmp_path / "a", [2])
    other = old + _written(tmp_path / "b", [1, 3])[len(old) :]

    assert merge("ledger.jsonl", b"", old, new).content == new
    assert merge("ledger.jsonl", b"x", new, old).content == new
    with pytest.raises(ConfigError, match="different entries after the same one"):
        merge("ledger.jsonl", old, new, other)


def test_other_files_are_git_s(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file that Headrace knows how to merge"):
        merge("params.yaml", json.dumps({}).encode(), b"a", b"b")


def test_weights_to_start_from_are_merged_like_an_entry() -> None:
    """One side pinned a new version, the other nothing: its version is taken; two new versions are told."""

    def lock(version: str) -> bytes:
        initial = LockedInitial(init_from="models:/low@champion", version=version, files=[]) if version else None
        return render(Lock(sources=[], initial=initial)).encode()

    def merged(base: str, ours: str, theirs: str) -> tuple[str, int]:
        made = merge("data/sources.lock", lock(base), lock(ours), lock(theirs))
        initial = Lock.model_validate_json(made.content).initial
        return initial.version if initial else "", len(made.notes)

    assert merged("1", "1", "2") == ("2", 0)
    assert merged("", "", "2") == ("2", 0)
    assert merged("1", "", "1") == ("", 0)
    assert merged("1", "2", "3") == ("2", 1)
