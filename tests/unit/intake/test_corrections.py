"""Corrected labels as a source."""

import json

import pytest

from headrace.dataset.shards import read_schema, read_table
from headrace.errors import DataError, FormatError, HeadraceError, ParamsError
from headrace.formats.record import SourceFile
from headrace.intake.corrections import names_of_records, read_corrections
from headrace.params import parse_section
from headrace.sources.fetch import refresh
from headrace.sources.places import Places
from headrace.stages import collect

TEXTS = ["good film", "bad film", "good film", "fine book", "odd thing"]
LABELS = ["good", "good", "good", "bad", "strange"]


@pytest.fixture
def collected(tmp_path):
    """Collect texts with these corrections; returns the report and the rows."""
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in zip(TEXTS, LABELS, strict=True))
    )
    sources = [{"kind": "files", "name": "texts", "paths": ["texts.jsonl"]}]
    corrections = {"kind": "files", "name": "corrections", "paths": ["corrections.csv"]}

    def collect_with(table, **changed):
        extra = {}
        if table is not None:
            (tmp_path / "corrections.csv").write_text(table)
            extra = {"corrections": "corrections"}
        values = {
            "task": "text_classification", "format": "jsonl", "options": {"payload": "text", "label": "label"},
            "sources": [*sources, *([corrections] if extra else [])], "classes": ["bad", "good"], **extra, **changed,
        }  # fmt: skip
        params = parse_section(values, "collect", collect.Params, where="params.yaml")
        lock, out = tmp_path / "sources.lock", tmp_path / f"raw-{len(list(tmp_path.glob('raw-*')))}"
        places = Places(project=tmp_path, downloads=tmp_path / "downloads")
        refresh(params.sources, lock, places)
        return collect.run(params, sources=lock, out=out, places=places), out

    return collect_with


def ids(folder):
    return dict(zip(TEXTS, read_table(folder)["id"].to_pylist(), strict=True))


def test_a_corrected_label_keeps_the_one_it_came_with(collected):
    """The row says that it was changed and from what; the report counts and gives the reasons. Copies change together."""
    known = ids(collected(None)[1])
    table = f"id,label,why\n{known['bad film']},bad,it says so\n{known['good film']},good,is right\n{known['odd thing']},bad,\n"

    report, out = collected(table)

    rows = read_table(out)
    assert rows["label"].to_pylist() == [1, 0, 1, 0, 0]
    assert rows["given_label"].to_pylist() == [None, "good", None, None, ""]
    assert rows["fault"].to_pylist() == ["", "", "", "", ""]  # a correction also names the class of a record that had none
    assert report.corrections.changed == {"good -> bad": 1, "no class -> bad": 1}
    assert (report.corrections.ids, report.corrections.agreed) == (3, 2)
    assert report.corrections.reasons == {"": 1, "is right": 1, "it says so": 1}
    assert [source.name for source in report.sources] == ["texts", "corrections"]
    assert report.rows == len(TEXTS)


def test_without_corrections_nothing_is_added(collected):
    """Data sets and reports of projects that correct nothing keep their bytes."""
    report, out = collected(None)

    assert "given_label" not in read_schema(out).names
    assert "corrections" not in report.model_dump()


def test_a_line_without_a_label_is_a_record_that_was_left_as_it_is(collected):
    """The list of suspects can be given back as it is, filled in where the label is wrong."""
    known = ids(collected(None)[1])

    report, out = collected(f"id,label,why,given\n{known['bad film']},,,good\n{known['fine book']},good,a good book,bad\n")

    assert read_table(out)["given_label"].to_pylist() == [None, None, None, "bad", None]
    assert report.corrections.ids == 1


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("id,label,why\n0123,bad,typo\n", r"corrections.csv:2: 0123"),
        ("id,label,why\n{0},bad,\n{0},good,\n", r"is 'good' here and 'bad' in corrections.csv:2"),
        ("id,label,why\n{0},terrible,\n", r"corrections.csv:2: 'terrible' is no class of the data \(bad, good\)"),
        ("id,label,why\n,bad,\n", r"corrections.csv:2: a label without an id"),
        ("id,label\n{0},bad\n", r"has no column 'why'"),
        ('id,label,why\n{0},bad,"no end\n', r"unexpected end of data"),
    ],
    ids=["unknown id", "two labels", "no class", "no id", "no column", "no CSV"],
)
def test_a_wrong_correction_is_an_error_that_names_the_line(collected, table, told):
    """A correction that is passed over in silence is a wrong label that everybody believes to be right."""
    first = ids(collected(None)[1])["bad film"]

    with pytest.raises((DataError, FormatError), match=told):
        collected(table.format(first))


@pytest.mark.badinput
def test_bytes_that_are_no_text_are_refused(tmp_path):
    """A spreadsheet program writes latin-1 where nobody looks."""
    path = tmp_path / "c.csv"
    path.write_bytes(b"id,label,why\n1,bad,caf\xe9\n")

    with pytest.raises(HeadraceError, match="not utf-8"):
        read_corrections([SourceFile(name="c.csv", path=path, source="corrections")])


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("sources", "told"),
    [(["texts", "corrected"], "no source of that name"), (["corrections"], "corrections and no records")],
)
def test_the_source_of_corrections_must_be_one_of_several(sources, told):
    """Else it would be read as records, or nothing would be."""
    with pytest.raises(ParamsError, match=told):
        names_of_records(sources, "corrections")


def test_records_without_classes_have_no_labels_to_correct(tmp_path):
    """A language model's texts."""
    path = tmp_path / "c.csv"
    path.write_text("id,label,why\n1,bad,\n")

    with pytest.raises(DataError, match="have no classes"):
        read_corrections([SourceFile(name="c.csv", path=path, source="corrections")]).check([])
