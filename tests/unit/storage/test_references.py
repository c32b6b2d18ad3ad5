"""What DVC's files name, and in which order what nobody names may go."""

import hashlib
import json
from pathlib import Path

import pytest

from headrace.errors import DataError
from headrace.storage.dvc_remote import cached
from headrace.storage.references import Item, Kept, digests, expand, items, outputs, unwanted

ONE, TWO = "1" * 32, "a" * 32
LOCK = f"""schema: '2.0'
stages:
  make:
    cmd: make
    deps:
    - path: seed
      hash: md5
      md5: '{ONE}'
    outs:
    - path: data/many
      hash: md5
      md5: {TWO}.dir
      size: 9
"""
ENTRY = f"cmd: make\ndeps:\n- path: seed\n  hash: md5\n  md5: {ONE}\nouts:\n- path: data/many\n  hash: md5\n  md5: {TWO}.dir\n"
RESULT = f"runs/ab/{'b' * 64}/{'c' * 64}"


def object_at(md5: str, **more: float) -> Item:
    return Item(f"files/md5/{md5[:2]}/{md5[2:]}", 1, **{"modified": 0.0, **more})  # type: ignore[arg-type]


def test_a_lock_names_its_outputs_and_dependencies() -> None:
    """A digest of digits alone is quoted: YAML would take it for a number."""
    assert digests(LOCK) == {ONE, f"{TWO}.dir"}


@pytest.mark.parametrize("text", ["", "<<<<<<< ours\n", "md5: short\n", f"sha: {ONE}\n", f"md5: {ONE}0\n"])
def test_what_is_no_digest_is_not_taken_for_one(text: str) -> None:
    assert digests(text) == set()


def test_an_entry_of_the_run_cache_made_its_outputs_only() -> None:
    assert outputs(ENTRY) == {f"{TWO}.dir": "data/many"}


def test_temporary_files_of_dvc_are_not_objects(tmp_path: Path) -> None:
    """They are being written now."""
    for name in (f"files/md5/{ONE[:2]}/{ONE[2:]}", f"files/md5/{ONE[:2]}/{ONE[2:]}.abc.tmp", RESULT, "runs/ab/x/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    assert sorted(item.name for item in items(tmp_path)) == [f"files/md5/{ONE[:2]}/{ONE[2:]}", RESULT]


def store(cache: Path, content: bytes) -> str:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir"
    cached(cache, md5).parent.mkdir(parents=True, exist_ok=True)
    cached(cache, md5).write_bytes(content)
    return md5


def test_a_folder_keeps_its_files(tmp_path: Path) -> None:
    folder = store(tmp_path, json.dumps([{"md5": ONE, "relpath": "x"}]).encode())

    assert expand([folder, TWO], tmp_path, None) == Kept({folder, ONE, TWO}, set())


def test_a_list_that_is_not_here_is_asked_of_the_remote(tmp_path: Path) -> None:
    listed = json.dumps([{"md5": ONE, "relpath": "x"}]).encode()

    assert expand([f"{TWO}.dir"], tmp_path, lambda _: listed).md5s == {f"{TWO}.dir", ONE}


def test_a_list_that_is_nowhere_is_counted(tmp_path: Path) -> None:
    assert expand([f"{TWO}.dir"], tmp_path, lambda _: None).lost == {f"{TWO}.dir"}


def test_a_damaged_list_is_replaced_by_the_remotes_or_stops_all(tmp_path: Path) -> None:
    listed = json.dumps([{"md5": ONE, "relpath": "x"}]).encode()
    folder = store(tmp_path, listed)
    cached(tmp_path, folder).write_bytes(b"[]")

    assert ONE in expand([folder], tmp_path, lambda _: listed).md5s
    with pytest.raises(DataError, match="damaged"):
        expand([folder], tmp_path, lambda _: None)


def test_lists_go_before_their_files_and_results_before_both() -> None:
    """Cut short, no list may stay whose files have gone: DVC would take the folder for complete."""
    held = [object_at(ONE), object_at(f"{TWO}.dir"), Item(RESULT, 1, 0.0)]

    assert unwanted(held, Kept(set(), set()), {RESULT: ENTRY}, before=1.0) == held[::-1]


def test_a_result_stays_as_long_as_all_that_it_made() -> None:
    result = Item(RESULT, 1, 0.0)

    assert unwanted([result], Kept({f"{TWO}.dir"}, set()), {RESULT: ENTRY}, before=1.0) == []
    assert unwanted([result], Kept({ONE}, set()), {RESULT: ENTRY}, before=1.0) == [result]
    assert unwanted([result], Kept({ONE}, set()), {}, before=1.0) == [result]


def test_what_is_young_or_linked_from_a_workspace_stays() -> None:
    """A hard link frees no space while the other name is there, and says that a checkout uses it."""
    held = [object_at(ONE, modified=2.0), object_at(TWO, links=2)]

    assert unwanted(held, Kept(set(), set()), {}, before=1.0) == []
