"""The language of a text, measured where it is asked for."""

import pytest
import tests.quiet_engine  # noqa: F401  # first: its import warns
from tests.measured import write_suite

from headrace.dataset.shards import ShardWriter, read_table
from headrace.errors import ParamsError
from headrace.formats.record import RawRecord
from headrace.intake import text_classification as intake
from headrace.intake.language import READ_CHARACTERS, LanguageConfig, language_of
from headrace.params import parse_section
from headrace.stages import validate

ENGLISH = "The striker scored twice in the second half of the match."
GERMAN = "Der Stürmer traf in der zweiten Halbzeit gleich zweimal."


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        ("L'attaquant a marqué deux fois pendant la seconde période.", "fr"),
        ("今日はとてもいい天気ですね", "ja"),
        ("ok", "und"),
        ("12.50 + 3 = !!", "und"),
        ("", "und"),
    ],
)
def test_a_sentence_has_a_language_and_a_word_or_a_number_has_none(text, code):
    """Guessing at numbers would keep back records for nothing."""
    assert language_of(text, LanguageConfig()) == code


def test_a_choice_between_few_is_told_from_less():
    """Who knows which languages there may be gets fewer doubts, and nothing else."""
    config = LanguageConfig(among=("de", "en"))

    assert [language_of(text, config) for text in (GERMAN, ENGLISH)] == ["de", "en"]
    assert language_of("L'attaquant a marqué.", config) in {"de", "en", "und"}


@pytest.mark.badinput
def test_one_language_is_no_choice():
    """Every text would have it, and the suite would keep nothing back."""
    with pytest.raises(ParamsError, match=r"language\.among' is .*every text would be en"):
        parse_section(
            {"language": {"measure": True, "among": ["en"]}}, "collect.record", intake.RecordOptions, where="params.yaml"
        )


@pytest.mark.badinput
def test_a_text_of_a_million_characters_is_judged_by_its_beginning():
    """Each byte costs a step."""
    assert language_of(f"{ENGLISH} " * (READ_CHARACTERS // 50) + f"{GERMAN} " * 20_000, LanguageConfig()) == "en"


@pytest.mark.badinput
def test_a_code_that_the_model_does_not_know_is_refused_before_a_record_is_read():
    """With those that it knows."""
    options = parse_section(
        {"language": {"measure": True, "among": ["en", "klingon"]}}, "collect.record", intake.RecordOptions, where="params.yaml"
    )

    with pytest.raises(ParamsError, match=r"among has 'klingon', which is no code of the model\. It knows .*\ben\b"):
        intake.settle(options, [])


def test_nobody_who_does_not_ask_gets_a_column():
    """Records at rest, and all that follows from them, stay as they were."""
    assert "language" not in intake.record_schema(intake.RecordOptions()).names
    assert intake.record_schema(intake.RecordOptions(language={"measure": True})).names[-1] == "language"


def test_records_in_other_languages_are_kept_back_where_the_suite_says_so(tmp_path):
    """With the reason, in the report of `validate`; a text that cannot be read has no language."""
    options = intake.RecordOptions(language={"measure": True})
    found = [f"{ENGLISH} {number} times." for number in range(12)]
    raws = [RawRecord(text, "ab"[at % 2], "", "wire", str(at)) for at, text in enumerate([*found, GERMAN, ""])]
    with ShardWriter(
        tmp_path / "raw",
        intake.record_schema(options),
        task="text_classification",
        classes=["a", "b"],
        record=intake.record_info(options),
    ) as writer:
        writer.write(intake.make_rows(raws, {"a": 0, "b": 1}, options))
    (tmp_path / "accepted.json").write_text('{"format": 1}')
    rules = (
        'expectation: expect_column_values_to_be_in_set, column: fault, value_set: [""], reason: cannot be read',
        'expectation: expect_column_values_to_be_in_set, column: language, value_set: [en, ""], reason: not in English',
    )
    report = validate.run(
        validate.Params(max_bad_fraction=0.5),
        raw=tmp_path / "raw",
        suite=write_suite(tmp_path / "suite.yaml", *rules),
        accepted=tmp_path / "accepted.json",
        validated=tmp_path / "validated",
        quarantine=tmp_path / "quarantine",
        results=tmp_path / "results.json",
    )

    assert report.quarantined_by_reason == {"not in English": 1, "cannot be read": 1}
    assert set(read_table(tmp_path / "validated")["language"].to_pylist()) == {"en"}
