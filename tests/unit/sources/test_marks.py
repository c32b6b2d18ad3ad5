"""What this machine remembers."""

from headrace.sources.marks import Marks


def test_what_was_noted_is_known_later(tmp_path):
    marks = Marks(tmp_path / "marks.json")
    marks.note("a", {"etag": "1"})
    marks.save()

    assert Marks(tmp_path / "marks.json").get("a") == {"etag": "1"}


def test_two_processes_add_to_each_other(tmp_path):
    """Each read the file before the other wrote it."""
    one, two = Marks(tmp_path / "marks.json"), Marks(tmp_path / "marks.json")
    one.note("a", 1)
    two.note("b", 2)
    one.save()
    two.save()

    assert [Marks(tmp_path / "marks.json").get(key) for key in "ab"] == [1, 2]


def test_a_damaged_file_is_an_empty_one(tmp_path):
    """Losing it costs time only."""
    (tmp_path / "marks.json").write_text("{ half")
    marks = Marks(tmp_path / "marks.json")
    marks.note("a", 1)
    marks.save()

    assert Marks(tmp_path / "marks.json").get("a") == 1
