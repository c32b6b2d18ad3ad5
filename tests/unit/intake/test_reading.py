"""Several sources in one data set: each read in its own way, none that does not fit."""

import pytest

from headrace.errors import DataError, ParamsError
from headrace.formats.record import SourceFile
from headrace.intake.reading import SourceReading, choose_readers, given_columns, read_all

SHOP = b"body,stars\na fine film,5\na dull film,1\n"
BLOG = b'{"text": "what a day", "mood": "good"}\n{"text": "rain again", "mood": "bad"}\n'
NAMES = {"5": "good", "1": "bad"}


@pytest.fixture
def files(tmp_path):
    """A csv of a shop and a jsonl of a blog."""
    found = []
    for source, name, content in [("shop", "shop.csv", SHOP), ("blog", "blog.jsonl", BLOG)]:
        (tmp_path / name).write_bytes(content)
        found.append(SourceFile(name=name, path=tmp_path / name, source=source))
    return found


def readers(*, names=NAMES, **per_source):
    ways = {name: SourceReading(**way) for name, way in per_source.items()}
    return choose_readers("csv", {"payload": "body", "label": "stars", "names": names}, ways, names=["shop", "blog"])


BLOG_WAY = {"format": "jsonl", "options": {"payload": "text", "label": "mood"}}


def test_each_source_is_read_in_its_own_way(files):
    """Other formats, column names and signs for classes; the records say where they come from."""
    records = list(read_all(readers(blog=BLOG_WAY).readings(files)))

    assert [(record.source, record.label, record.payload) for record in records] == [
        ("shop", "good", "a fine film"),
        ("shop", "bad", "a dull film"),
        ("blog", "good", "what a day"),
        ("blog", "bad", "rain again"),
    ]


def test_sources_without_a_way_of_their_own_are_read_together(files):
    """Formats of paired files, such as idx, look at all of them."""
    assert [list(reading.files) for reading in readers().readings(files)] == [files]


@pytest.mark.badinput
def test_sources_that_contradict_each_other_are_refused_with_both_sides(files):
    """Stars here and words there would silently be four classes: source, column and kind of both are named."""
    with pytest.raises(DataError) as refused:
        given_columns(readers(names={}, blog=BLOG_WAY).readings(files))

    text = str(refused.value)
    assert "the label: source 'shop' has number (column 'stars'), source 'blog' has text (column 'mood')" in text
    assert "collect.per_source" in text


@pytest.mark.badinput
def test_a_feature_that_one_source_lacks_is_refused(tmp_path):
    """Where all columns are features, a missing one would be a hole in half of the records."""
    for source, content in [("a", b"age,label\n1,x\n"), ("b", b"age,height,label\n1,2,x\n")]:
        (tmp_path / f"{source}.csv").write_bytes(content)
    found = [SourceFile(name=f"{s}.csv", path=tmp_path / f"{s}.csv", source=s) for s in "ab"]
    way = choose_readers("csv", {}, {"b": SourceReading()}, names=["a", "b"])

    with pytest.raises(
        DataError, match=r"feature 'height': source 'a' has no such column, source 'b' has number \(column 'height'\)"
    ):
        given_columns(way.readings(found))


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("per_source", "message"),
    [
        ({"blgo": {}}, "no source 'blgo'. Did you mean 'blog'"),
        ({"blog": {"format": "jsnl"}}, "'jsnl', which headrace/formats does not have. Did you mean 'jsonl'"),
        ({"blog": {"options": {"paylod": "text"}}}, "collect.per_source.blog.options.paylod'. Did you mean 'payload'"),
        ({"blog": {"format": "opening"}}, "has no 'Options'"),
    ],
)
def test_a_slip_is_found_before_anything_is_fetched(per_source, message):
    """As for the options of all sources."""
    with pytest.raises(ParamsError) as refused:
        readers(**per_source)

    assert message in str(refused.value)
