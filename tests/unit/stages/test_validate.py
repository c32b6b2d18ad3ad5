"""The stage: files and report, before and after a failure."""

import json

import pytest
import tests.quiet_engine  # noqa: F401  # first: its import warns
from tests.measured import write_records, write_suite
from tests.projects import REPOSITORY

from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_table
from headrace.errors import ValidationFailed
from headrace.stages.validate import Params, run
from headrace.validation.changes import ChangePolicy
from headrace.validation.profile import measure, readable_columns

HEIGHT = "expectation: expect_column_values_to_be_between, column: height, min_value: 4, reason: too low"


@pytest.fixture
def accepted(tmp_path):
    """The accepted profile of a project in which nothing was accepted yet."""
    path = tmp_path / "accepted.json"
    path.write_text('{"format": 1}')
    return path


@pytest.fixture
def validate(tmp_path, accepted):
    """Validate records by the rule on height."""

    def do(max_bad_fraction=0.1, rows=24, changes=None, **columns):
        return run(
            Params(max_bad_fraction=max_bad_fraction, changes=changes or ChangePolicy()),
            raw=write_records(tmp_path / "raw", rows, **columns),
            suite=write_suite(tmp_path / "suite.yaml", HEIGHT),
            accepted=accepted,
            validated=tmp_path / "validated",
            quarantine=tmp_path / "quarantine",
            results=tmp_path / "results.json",
        )

    return do


def test_report_says_what_goes_on_and_what_is_kept_back(validate, tmp_path):
    """Up to max_bad_fraction the run goes on, and every record is accounted for."""
    report = validate(height=[0] + [28] * 23, id=["x", "y", "y"] + [str(i) for i in range(21)])

    assert (report.rows_in, report.rows_out, report.quarantined, report.duplicates) == (24, 23, 1, 1)
    assert (report.quarantined_by_reason, report.classes) == ({"too low": 1}, {"a": 11, "b": 12})
    assert read_table(tmp_path / "quarantine", ["origin", "reasons"]).to_pylist() == [{"origin": "f:0", "reasons": ["too low"]}]
    assert read_info(tmp_path / "validated").rows == 23
    report.to_json()


@pytest.mark.badinput
def test_a_failure_leaves_its_evidence(validate, tmp_path):
    """Quarantine and results are written before the stage fails: Data Docs are rendered from them."""
    with pytest.raises(ValidationFailed, match="max_bad_fraction allows"):
        validate(height=[0] * 12 + [28] * 12)

    assert read_info(tmp_path / "quarantine").rows == 12
    assert json.loads((tmp_path / "results.json").read_text())["success"] is False


@pytest.mark.badinput
@pytest.mark.parametrize(("rows", "columns"), [(0, {}), (24, {"height": [0] * 24}), (24, {"label": [0] * 24})])
def test_nothing_left_to_learn_from_is_a_failure(validate, rows, columns):
    """Header only, everything quarantined, one class: whatever max_bad_fraction says."""
    with pytest.raises(ValidationFailed, match=r"no record is left|fewer than two classes"):
        validate(1.0, rows, **columns)


def test_results_are_the_same_each_time(validate, tmp_path):
    """They are an output that DVC hashes."""
    validate(height=[0] + [28] * 23)
    first = (tmp_path / "results.json").read_bytes()
    run(
        Params(max_bad_fraction=0.1),
        raw=tmp_path / "raw",
        suite=tmp_path / "suite.yaml",
        accepted=tmp_path / "accepted.json",
        validated=tmp_path / "v2",
        quarantine=tmp_path / "q2",
        results=tmp_path / "results.json",
    )

    assert (tmp_path / "results.json").read_bytes() == first


@pytest.fixture
def accepted_24(tmp_path, accepted):
    """24 good records were accepted."""
    data = write_records(tmp_path / "before", height=list(range(20, 44)))
    accepted.write_text(measure(data, readable_columns(data)[0]).to_json())


@pytest.mark.usefixtures("accepted_24")
def test_changes_are_reported_and_kept_back_as_the_policy_says(validate, tmp_path):
    """A record kept back for a change has its reason in quarantine, and the suite is asked about the others."""
    report = validate(height=[*range(20, 42), 90, 2], changes=ChangePolicy(shifted_ranges="quarantine"))

    words = "column 'height' is 2 to 90, accepted 20 to 43"
    assert (report.rows_out, report.quarantined_by_reason) == (22, {words: 2})
    assert [(change.kind, change.records, change.policy) for change in report.changes] == [("shifted_ranges", 2, "quarantine")]
    assert ", 1 change to the accepted data" in report.headline
    assert read_table(tmp_path / "quarantine", ["reasons"]).to_pylist() == [{"reasons": [words]}] * 2


@pytest.mark.usefixtures("accepted_24")
def test_too_many_kept_back_for_a_change_stop_the_stage(validate):
    """Quarantine is bounded, whatever the reason."""
    with pytest.raises(ValidationFailed, match=r"column 'height' is 90 to 90, accepted 20 to 43 \(24 records, such as"):
        validate(height=[90] * 24, changes=ChangePolicy(shifted_ranges="quarantine"))


@pytest.mark.usefixtures("accepted_24")
def test_a_change_that_must_not_be_stops_the_stage_and_leaves_its_evidence(validate, tmp_path):
    """As a broken rule does."""
    with pytest.raises(ValidationFailed, match="not as they were accepted"):
        validate(height=[90] * 24, changes=ChangePolicy(shifted_ranges="fail"))

    assert (tmp_path / "results.json").exists()


def test_the_suite_for_images_accepts_real_digits_and_keeps_back_what_is_none(tmp_path, accepted):
    """The suite that ships, on pictures as `collect` leaves them."""
    from sklearn.datasets import load_digits

    from headrace.dataset.shards import ShardWriter
    from headrace.formats.record import RawRecord
    from headrace.intake import image_classification as intake

    digits = load_digits()
    pixels = (digits.images * 15.9375).astype("uint8")[..., None]
    classes = {str(i): i for i in range(10)}
    options = intake.RecordOptions(height=8, width=8, channels=1)
    raws = [
        RawRecord(payload=p, label=str(y), split="", source="d", origin=str(i))
        for i, (p, y) in enumerate(zip(pixels, digits.target, strict=True))
    ]
    raws[5] = RawRecord(payload=b"GIF8", label="0", split="", source="d", origin="5")
    raws[6] = RawRecord(payload=pixels[6] * 0 + 9, label="6", split="", source="d", origin="6")
    record = intake.record_info(options)
    with ShardWriter(
        tmp_path / "raw", intake.record_schema(options), task="image_classification", classes=list(classes), record=record
    ) as writer:
        writer.write(intake.make_rows(raws, classes, options))
    report = run(
        Params(),
        raw=tmp_path / "raw",
        suite=REPOSITORY / "expectations" / "image_classification.yaml",
        accepted=accepted,
        validated=tmp_path / "validated",
        quarantine=tmp_path / "quarantine",
        results=tmp_path / "results.json",
    )  # fmt: skip

    assert report.quarantined_by_reason == {"cannot be decoded": 1, "near-empty image of one colour": 1}
    assert (report.rows_in, report.warnings) == (1797, [])
