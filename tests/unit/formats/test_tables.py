"""What the columns of csv, jsonl and parquet mean."""

import base64
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import FormatError
from headrace.formats import csv, jsonl, parquet
from headrace.formats.record import SourceFile

ROWS = [{"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}]


def as_parquet(rows, **options):
    buffer = io.BytesIO()
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows), buffer, **options)
    return buffer.getvalue()


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows):
    return "\n".join([",".join(rows[0]), *(",".join(str(cell) for cell in row.values()) for row in rows)]).encode() + b"\n"


ROOMS = [(csv, "a.csv", as_csv), (jsonl, "a.jsonl", as_jsonl), (parquet, "a.parquet", as_parquet)]


@pytest.mark.parametrize(("room", "name", "write"), ROOMS)
def test_three_formats_give_the_same_records(make_file, room, name, write):
    """The id of a record must not depend on how its table was stored."""
    records = list(room.read([make_file(name, write(ROWS))], room.Options(payload="text")))

    assert [(record.payload, record.label, record.content) for record in records] == [
        ("good", "pos", b"good"),
        ("bad", "neg", b"bad"),
    ]


@pytest.mark.parametrize(("room", "name", "write"), ROOMS)
def test_payload_is_all_other_columns_by_default(make_file, room, name, write):
    """A table needs no option but its label."""
    first = next(room.read([make_file(name, write([{"a": "x", "b": "y", "label": "1"}]))], room.Options()))

    assert first.payload == {"a": "x", "b": "y"}


@pytest.mark.badinput
@pytest.mark.parametrize(("room", "name", "write"), ROOMS)
def test_missing_column_is_named_with_the_nearest(make_file, room, name, write):
    """The message shows what the file does have."""
    with pytest.raises(FormatError, match=r"no column 'labl'\. Did you mean 'label'"):
        list(room.read([make_file(name, write(ROWS))], room.Options(label="labl")))


def test_split_column_is_read(make_file):
    """A split that came with the data is respected; one that means nothing is a fault."""
    content = b"text,label,part\na,1,train\nb,1,DEV\nc,1,holiday\n"
    records = list(csv.read([make_file("a.csv", content)], csv.Options(payload="text", split="part")))

    assert [record.split for record in records[:2]] == ["train", "validation"]
    assert records[2].fault.startswith("split")


def test_payload_may_be_an_encoded_picture(make_file):
    """Three ways in which tables carry pictures."""
    encoded = base64.b64encode(b"picture").decode()
    nested = as_parquet([{"image": {"bytes": b"picture", "path": "1.png"}, "label": 1}])

    assert (
        next(
            csv.read([make_file("a.csv", f"p,label\n{encoded},1\n".encode())], csv.Options(payload="p", payload_as="base64"))
        ).payload
        == b"picture"
    )
    assert (
        next(parquet.read([make_file("a.parquet", nested)], parquet.Options(payload="image", payload_as="bytes"))).payload
        == b"picture"
    )
    files = [make_file("t/a.csv", b"p,label\nimg/1.png,1\n"), make_file("t/img/1.png", b"picture")]
    assert next(csv.read(files, csv.Options(payload="p", payload_as="path"))).payload == b"picture"


@pytest.mark.badinput
def test_path_outside_the_source_is_a_fault(make_file):
    """A table must not make the reader open files that sources.lock does not know."""
    files = [make_file("t/a.csv", b"p,label\n../../etc/passwd,1\n")]

    assert next(csv.read(files, csv.Options(payload="p", payload_as="path"))).fault.startswith("path")


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a,a,label\n1,2,3\n", "two columns named 'a'"),
        (b",text,label\n0,x,1\n", "column 0 has no name"),
        (b"text,label\n", "no row below its header"),
        (b"text,label\nx,1,2\ny,1,2\n", "found 3, the header has 2"),
        (b'text,label\n"open,1\n', "unexpected end of data"),
    ],
)
def test_csv_that_is_wrong_as_a_whole_is_refused(make_file, content, told):
    """Pandas reads each of these without an error."""
    with pytest.raises(FormatError, match=told):
        list(csv.read([make_file("a.csv", content)], csv.Options()))


@pytest.mark.badinput
def test_ragged_and_nul_rows_are_faulty_records(make_file):
    """Short rows are not filled, long ones not cut."""
    content = b"text,label\nx,1\nshort\nlong,1,2\nn\0ul,1\n,\nlast,1\n"
    records = list(csv.read([make_file("a.csv", content)], csv.Options()))

    assert [record.fault.partition(":")[0] for record in records] == ["", "columns", "columns", "NUL", "label", ""]
    assert records[1].origin == "a.csv:line 3"


def test_quoted_line_end_and_formula_stay_text(make_file):
    """Cells are text: nothing is computed, and a comma inside quotes is no border."""
    [record] = csv.read([make_file("a.csv", b'text,label\n"=cmd(),\ntwo",1\n')], csv.Options(payload="text"))

    assert record.payload == "=cmd(),\ntwo"


def test_large_numbers_are_not_rounded(make_file):
    """An integer beside a blank becomes a float elsewhere and loses its last digits."""
    first = next(csv.read([make_file("a.csv", b"n,label\n9007199254740993,1\n,1\n")], csv.Options()))

    assert first.payload == {"n": "9007199254740993"}


@pytest.mark.badinput
@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"text": "x", "text": "y", "label": 1}', '{"text": NaN, "label": 1}', '{"label": 1}', "[" * 100_000]
)
def test_bad_json_line_is_a_faulty_record(make_file, line):
    """One broken line does not lose the file, and is not lost itself."""
    good, bad = jsonl.read([make_file("a.jsonl", as_jsonl(ROWS[:1]) + line.encode() + b"\n")], jsonl.Options())

    assert (good.fault, bool(bad.fault)) == ("", True)


@pytest.mark.badinput
def test_parquet_faults_of_a_whole_file_are_refused(make_file):
    """Truncation, another kind of file, no row, and a flipped byte behind a page checksum."""
    whole = as_parquet([{"text": f"row-{n:05}", "label": n} for n in range(500)], write_page_checksum=True, compression="none")
    flipped = whole.replace(b"row-00250", b"row-00251", 1)
    for content, told in [(whole[:-20], "damaged"), (b"a,b\n", "not Parquet"), (b"", "empty"), (flipped, "damaged")]:
        with pytest.raises(FormatError, match=told):
            list(parquet.read([make_file("a.parquet", content)], parquet.Options()))
    empty = as_parquet(pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}))
    with pytest.raises(FormatError, match="no row"):
        list(parquet.read([make_file("a.parquet", empty)], parquet.Options()))


@pytest.mark.badinput
def test_parquet_files_of_different_schemas_are_refused(make_file):
    """Readers that unite schemas fill one file's column with nulls."""
    files = [make_file("a.parquet", as_parquet(ROWS)), make_file("b.parquet", as_parquet([{"text": "x", "label": 1}]))]
    with pytest.raises(FormatError, match="column 'label' is int64, not string"):
        list(parquet.read(files, parquet.Options()))


@pytest.mark.badinput
@pytest.mark.fault
@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pa.ExtensionArray.from_storage(pa.opaque(pa.binary(), "object", "python"), pa.array([b"pickle"])), "extension type"),
        (pa.array([0], pa.timestamp("s")), "without a zone"),
        (pa.array([None]), "no plain values"),
    ],
)
def test_parquet_column_that_is_no_plain_data_is_refused(make_file, column, told):
    """Pickled objects may run a program; times without a zone mean another instant elsewhere."""
    with pytest.raises(FormatError, match=told):
        list(parquet.read([make_file("a.parquet", as_parquet(pa.table({"x": column, "label": ["1"]})))], parquet.Options()))


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [
        ("t.csv", b"text,label\ngood,a\n\xa3 5,b\n", csv),
        ("t.jsonl", b'{"text": "good", "label": "a"}\n{"text": "\xa3 5", "label": "b"}\n', jsonl),
    ],
)
def test_bytes_of_another_encoding_make_a_faulty_record_where_the_params_say_so(tmp_path, name, content, reader):
    """One bad line must not cost the file; by default it does, and the message names both ways out."""
    (tmp_path / name).write_bytes(content)
    file = SourceFile(name, tmp_path / name, "wire")

    found = list(reader.read([file], reader.Options(payload="text", invalid_bytes="quarantine")))

    assert [(r.payload, r.fault) for r in found] == [("good", ""), (None, "encoding: a byte is not utf-8")]
    with pytest.raises(FormatError, match="invalid_bytes: quarantine keeps the other lines"):
        list(reader.read([file], reader.Options(payload="text")))


@pytest.mark.parametrize(("room", "name", "write"), ROOMS)
def test_three_formats_tell_the_same_columns(make_file, room, name, write):
    """`validate` compares them with the accepted ones, also those that nothing is made of."""
    rows = [{"text": "good", "label": "pos", "price": 1.5}, {"text": "bad", "label": "neg", "price": 2.0}]
    given = room.columns([make_file(name, write(rows))], room.Options(payload="text"))

    assert given == {"trial": {"text": "text", "label": "text", "price": "number"}}


@pytest.mark.parametrize(("room", "name", "write"), ROOMS)
def test_signs_for_classes_get_names(make_file, room, name, write):
    """Sources that are merged may have different signs for one class."""
    rows = [{"text": "good", "label": 1}, {"text": "bad", "label": 0}, {"text": "odd", "label": 7}]
    records = room.read([make_file(name, write(rows))], room.Options(payload="text", names={"1": "pos", "0": "neg"}))

    assert [record.label for record in records] == ["pos", "neg", "7"]


@pytest.mark.badinput
def test_rows_of_another_length_say_nothing_of_the_columns(make_file):
    """They are faulty records; the columns are those of the header."""
    file = make_file("a.csv", b"text,label\ngood,pos\nbad\nodd,neg,3\n")

    assert csv.columns([file], csv.Options(payload="text")) == {"trial": {"text": "text", "label": "text"}}


@pytest.mark.parametrize(("room", "name", "write"), ROOMS)
def test_kept_columns_go_with_the_record_and_are_no_features(make_file, room, name, write):
    """A split by time or group needs them; a model must not see them. A blank is no value."""
    rows = [{"a": 1, "author": "ann", "label": "x"}, {"a": 2, "author": "", "label": "y"}]
    records = list(room.read([make_file(name, write(rows))], room.Options(keep=["author"])))

    assert [record.beside for record in records] == [{"author": "ann"}, {"author": None}]
    assert [list(record.payload) for record in records] == [["a"], ["a"]]


def test_a_kept_time_is_iso_8601(make_file):
    """As `split` reads it, whatever the table stored."""
    rows = pa.table({"text": ["a"], "label": ["x"], "at": pa.array([0], pa.timestamp("us", tz="UTC"))})
    (record,) = parquet.read([make_file("a.parquet", as_parquet(rows))], parquet.Options(payload="text", keep=["at"]))

    assert record.beside == {"at": "1970-01-01T00:00:00+00:00"}


@pytest.mark.badinput
def test_a_kept_column_that_is_not_there_or_is_the_payload_is_refused(make_file):
    """The nearest name is told."""
    with pytest.raises(FormatError, match=r"no column 'autor'\. Did you mean 'author'"):
        list(csv.read([make_file("a.csv", as_csv([{"text": "a", "author": "b"}]))], csv.Options(label=None, keep=["autor"])))
    with pytest.raises(ValueError, match="payload and label, split or kept at once"):
        csv.Options(payload="text", keep=["text"])
