"""From sources to data/raw."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_table
from headrace.errors import DataError, ParamsError, SourceError
from headrace.intake import image_classification
from headrace.params import load_section, parse_section
from headrace.sources.fetch import refresh
from headrace.sources.places import Places
from headrace.sources.snapshot import pin, write_lock
from headrace.stages import collect

REPOSITORY = Path(__file__).resolve().parents[3]


def params(**values):
    mine = [{"kind": "files", "name": "mine", "paths": ["in"]}]
    filled = {"task": "image_classification", "format": "image_folder", "sources": mine, **values}
    return parse_section(filled, "collect", collect.Params, where="params.yaml")


@pytest.fixture
def places(tmp_path):
    rng = np.random.default_rng(0)
    for split, label, count in [("train", "cat", 3), ("train", "dog", 2), ("test", "dog", 1)]:
        folder = tmp_path / "in" / split / label
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return Places(project=tmp_path, downloads=tmp_path / "downloads")


def run(wanted, places, out="raw"):
    lock = places.project / "sources.lock"
    refresh(wanted.sources, lock, places)
    return collect.run(wanted, sources=lock, out=places.project / out, places=places)


def test_folder_of_pictures_becomes_a_data_set(places):
    """Bring your own images: a folder and four lines of params."""
    report = run(params(), places)

    info = read_info(places.project / "raw")
    assert (report.rows, report.by_class, report.by_split) == (6, {"cat": 3, "dog": 3}, {"test": 1, "train": 5})
    assert (info.classes, info.record["shape"], info.task) == (["cat", "dog"], [6, 5, 3], "image_classification")


def test_order_of_given_classes_is_the_order_of_labels(places):
    """A label must mean the same before and after a class is added at the end."""
    run(params(classes=["dog", "cat"]), places)

    table = read_table(places.project / "raw")
    assert {
        origin.split("/")[2]: label for origin, label in zip(table["origin"].to_pylist(), table["label"].to_pylist(), strict=True)
    } == {
        "dog": 0,
        "cat": 1,
    }


def test_collecting_twice_gives_the_same_bytes(places):
    """DVC hashes the folder: no clock, no order of the file system, no path of this machine."""
    run(params(), places, "one")
    run(params(), places, "two")

    one, two = ({path.name: path.read_bytes() for path in (places.project / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert not any(os.fsencode(places.project) in content for content in one.values())


@pytest.mark.badinput
def test_damaged_pictures_and_repeats_are_reported(places):
    """They stay in data/raw, so that validate can quarantine and split can leave out, each with its reason."""
    cats = places.project / "in" / "train" / "cat"
    content = (cats / "0.png").read_bytes()
    (cats / "cut.png").write_bytes(content[: len(content) // 2])
    (cats / "again.png").write_bytes(content)
    (cats / "empty.png").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(cats / "other-size.png")

    report = run(params(), places)

    assert report.rows == 10
    assert report.duplicates == 1
    assert {"empty", "size"} < set(report.faults)
    assert report.faults["size"].examples == [
        "in/train/cat/other-size.png: size: 9 x 9, expected 6 x 5; collect.record.fit may be stretch, crop or pad"
    ]


@pytest.mark.badinput
def test_class_that_is_not_listed_is_a_fault(places):
    """A new folder must not silently shift labels."""
    report = run(params(classes=["cat"]), places)

    assert report.faults["unknown class"].count == 3
    assert report.by_class == {"": 3, "cat": 3}


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"format": "image_foldr"}, "Did you mean 'image_folder'"),
        ({"task": "image_clasification"}, "Did you mean 'image_classification'"),
        ({"options": {"extension": []}}, "Did you mean 'extensions'"),
        ({"record": {"hight": 3}}, "Did you mean 'height'"),
        ({"format": "my.own:reader"}, "cannot be imported"),
        ({"format": "record"}, "which has no 'Options'"),
        ({"task": "json:dumps"}, "which has no 'RecordOptions'"),
    ],
)
def test_mistyped_params_get_the_nearest(places, values, told):
    """Options are typed by the module that uses them."""
    with pytest.raises(ParamsError, match=told):
        run(params(**values), places)


@pytest.mark.badinput
def test_stale_lock_is_refused(places):
    """Editing collect.sources without a refresh must not collect the old data."""
    lock = places.project / "sources.lock"
    write_lock(lock, pin(params().sources, places))
    other = params(sources=[{"kind": "bundled", "dataset": "digits"}])
    with pytest.raises(SourceError, match=r"sources\.lock is stale"):
        collect.run(other, sources=lock, out=places.project / "raw", places=places)

    assert not (places.project / "raw").exists()


@pytest.mark.badinput
def test_file_that_changes_while_it_is_read_is_told(places, monkeypatch):
    """The records would be neither of the old file nor of the new one."""
    path = places.project / "in" / "train" / "cat" / "0.png"
    make_rows = image_classification.make_rows

    def touch_and_make(*arguments):
        path.write_bytes(path.read_bytes() + b"more")
        return make_rows(*arguments)

    monkeypatch.setattr(image_classification, "make_rows", touch_and_make)
    with pytest.raises(DataError, match="changed while it was read"):
        run(params(), places)


def test_own_format_is_used_by_name(places, monkeypatch):
    """A user's module with Options and read needs no edit in the package."""
    (places.project / "mine_format.py").write_text(
        "from headrace.formats.image_folder import Options, read as pictures\n"
        "class Reader:\n"
        "    Options = Options\n"
        "    @staticmethod\n"
        "    def read(files, options):\n"
        "        return pictures(files, options)\n"
    )
    monkeypatch.syspath_prepend(places.project)

    assert run(params(format="mine_format:Reader"), places).rows == 6


def test_own_task_holds_both_parts(places, monkeypatch):
    """One name in params.yaml: `collect` takes the intake from it, the later stages take the rest."""
    (places.project / "mine_task.py").write_text(
        "from headrace.intake import image_classification as intake\n"
        "from headrace.tasks import image_classification as task\n"
        "from types import SimpleNamespace\n"
        "both = SimpleNamespace(**{**vars(task), **vars(intake)})\n"
    )
    monkeypatch.syspath_prepend(places.project)
    report = run(params(task="mine_task:both"), places)

    assert (report.rows, read_info(places.project / "raw").task) == (6, "mine_task:both")


@pytest.mark.parametrize(("recipe", "rows"), [("digits", 1797), ("mnist", 70_000), ("mnist-dense", 70_000)])
def test_recipe_collects_through_the_mirror(recipe, rows, shared_data, tmp_path):
    """The recipes' pins are those of the real files; counts per class are the published ones."""
    wanted = load_section(REPOSITORY / "recipes" / f"{recipe}.yaml", "collect", collect.Params)
    places = Places(project=tmp_path, downloads=tmp_path / "downloads", mirror=str(shared_data))
    lock = tmp_path / "sources.lock"
    write_lock(lock, pin(wanted.sources, places))

    report = collect.run(wanted, sources=lock, out=tmp_path / "raw", places=places)

    assert (report.rows, report.faults, report.duplicates) == (rows, {}, 0)
    if rows == 70_000:
        assert list(report.by_class.values()) == [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]
        assert report.by_split == {"test": 10_000, "train": 60_000}


@pytest.mark.slow
def test_cifar_archives_collect_through_the_mirror(shared_data, tmp_path):
    """60,000 JPEGs inside two archives, none unpacked to disk."""
    wanted = load_section(REPOSITORY / "recipes" / "cifar10.yaml", "collect", collect.Params)
    places = Places(project=tmp_path, downloads=tmp_path / "downloads", mirror=str(shared_data))
    lock = tmp_path / "sources.lock"
    write_lock(lock, pin(wanted.sources, places))

    report = collect.run(wanted, sources=lock, out=tmp_path / "raw", places=places)

    assert set(report.by_class.values()) == {6000}
    assert (report.by_split, report.faults) == ({"test": 10_000, "train": 50_000}, {})


def test_default_recipe_is_the_project_itself(tmp_path):
    """data/sources.lock in git belongs to params.yaml in git."""
    wanted = load_section(REPOSITORY / "params.yaml", "collect", collect.Params)
    places = Places(project=REPOSITORY, downloads=tmp_path)

    report = collect.run(wanted, sources=REPOSITORY / "data" / "sources.lock", out=tmp_path / "raw", places=places)

    assert report.rows == 1797


def write_texts(places):
    (places.project / "in.csv").write_text('text,label\n"call +44 20 7946 0958 now",a\n"mail ann@example.org",b\n"nothing",a\n')
    return [{"kind": "files", "name": "mine", "paths": ["in.csv"]}]


def texts(places, policy):
    options = {"record": {"personal": {"policy": policy}}, "options": {"payload": "text"}}
    return params(task="text_classification", format="csv", sources=write_texts(places), **options)


def test_personal_data_are_counted_by_kind_in_the_report(places):
    """And none of them is in what was written."""
    report = run(texts(places, "mask"), places)

    assert report.personal == {"email": 1, "card": 0, "phone": 1}
    assert report.headline == "3 records, 1 x email, 1 x phone"
    assert read_table(places.project / "raw")["text"].to_pylist() == ["call [PHONE] now", "mail [EMAIL]", "nothing"]


@pytest.mark.badinput
def test_personal_data_stop_the_stage_where_they_must_not_be(places):
    """The message names the place."""
    with pytest.raises(DataError, match=r"in.csv:line 2 of source 'mine' holds personal data \(phone\)"):
        run(texts(places, "fail"), places)


def test_a_column_called_personal_is_a_column_like_any_other(places):
    """A table has its own `personal_status`, and kept columns have the names that the user gives; nobody looked for personal data."""
    (places.project / "in.csv").write_text("personal_status,age,personal_note,label\nsingle,30,x,a\nmarried,40,y,b\n")
    columns = {"personal_status": {"kind": "categorical"}, "age": {"kind": "numeric"}}
    mine = [{"kind": "files", "name": "mine", "paths": ["in.csv"]}]
    reading = {"format": "csv", "sources": mine, "options": {"keep": ["personal_note"]}}

    report = run(params(task="tabular", record={"columns": columns}, **reading), places)

    assert (report.rows, report.personal) == (2, {})


@pytest.mark.badinput
def test_what_is_kept_beside_a_record_needs_a_row_for_it(places):
    """Running text is cut into many rows: none of them is the one that the column belongs to."""
    (places.project / "in.csv").write_text("text,author\nto be or not to be,Shakespeare\n")
    mine = [{"kind": "files", "name": "mine", "paths": ["in.csv"]}]
    options = {"payload": "text", "label": None, "keep": ["author"]}
    wanted = params(task="language_modeling", format="csv", record={"characters": 8}, sources=mine, options=options)

    with pytest.raises(ParamsError, match="keep: this task makes several rows"):
        run(wanted, places)
