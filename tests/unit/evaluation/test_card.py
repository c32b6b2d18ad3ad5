"""The model card: people's words stay, numbers are those of the evaluation."""

import pytest
from huggingface_hub import ModelCard

from headrace.evaluation.card import BEGIN, END, render_card

MODEL = {
    "task": "image_classification",
    "classes": ["cat", "dog"],
    "record": {"payload": "image", "shape": [4, 4, 3], "dtype": "uint8"},
    "network": {"name": "mlp", "options": {}},
    "parameters": 1234,
    "fingerprint": "f00d",
}
EVALUATION = {
    "score": "accuracy",
    "metrics": {"accuracy": 0.91, "auc": None},
    "score_low": 0.88,
    "score_high": 0.94,
    "confidence": 0.95,
    "test_records": 300,
    "test_digest": "abc123",
    "verdict": {"allowed": False, "better": False, "reasons": ["accuracy is 0.9100, below min_accuracy 0.95."]},
    "comparison": [
        {"model": "rbf_svm", "score": 0.9, "difference": 0.01, "difference_low": -0.01, "difference_high": 0.03},
    ],
}
WRITTEN = f"---\nlicense: mit\n---\n\n# Cats\n\nOurs.\n\n{BEGIN}\nold numbers\n{END}\n\n## Limits\n\nOnly cats.\n"


def render(written=WRITTEN, **changes):
    return render_card(written, model=MODEL, evaluation={**EVALUATION, **changes})


def test_written_parts_stay_around_the_generated_one():
    """A card nobody may edit is a card nobody writes."""
    card = render()

    before, after = card.split(BEGIN)[0], card.split(END)[1]
    assert before.endswith("# Cats\n\nOurs.\n\n")
    assert after == "\n\n## Limits\n\nOnly cats.\n"
    assert "old numbers" not in card


def test_rendering_a_rendered_card_changes_nothing():
    """Regeneration replaces its own part only."""
    assert render(render()) == render()


def test_numbers_interval_verdict_and_baselines_are_shown():
    """The first sentence answers: how good, how sure, may it ship."""
    card = render()

    assert "**Accuracy 0.9100** (95% interval 0.8800 to 0.9400) on 300 test records." in card
    assert "did **not** pass the gate" in card
    assert "- accuracy is 0.9100, below min_accuracy 0.95." in card
    assert "| rbf_svm | 0.9000 | +0.0100 (-0.0100 to +0.0300) |" in card
    assert "| auc | undefined |" in card


def test_front_matter_is_readable_by_the_hub_and_people_win():
    """Our metadata never overwrites theirs."""
    card = ModelCard(render("---\nlicense: mit\nlibrary_name: theirs\n---\n# T\n"))

    assert card.data.license == "mit"
    assert card.data.library_name == "theirs"
    assert card.data.pipeline_tag == "image-classification"
    assert [(r.metric_type, r.metric_value) for r in card.data.eval_results] == [("accuracy", 0.91)]


@pytest.mark.parametrize("written", ["", "   \n", "# Mine\n\nNo marks, no front matter.\n"])
def test_card_without_marks_or_file_gets_them(written):
    """A missing model_card.md is fine."""
    card = render(written)

    assert card.count(BEGIN) == card.count(END) == 1
    assert written.strip() in card
    assert "Accuracy 0.9100" in card


def test_unmeasured_model_still_has_a_card():
    """An own evaluation may report other things."""
    card = render_card("", model=MODEL, evaluation={})

    assert "Not measured." in card
    assert "1,234 weights" in card


def test_an_error_is_told_without_its_minus():
    """Nobody says "negative mae -46.6"; lower is better, and the smaller end stands first."""
    row = {"model": "mean", "score": -67.0, "difference": 20.4, "difference_low": 13.0, "difference_high": 28.0}
    card = render(
        score="negative_mae",
        metrics={"negative_mae": -46.6, "mae": 46.6},
        score_low=-52.4,
        score_high=-39.9,
        comparison=[row],
    )

    assert "**MAE 46.60** (95% interval 39.90 to 52.40) on 300 test records." in card
    assert "| mean | 67.00 | -20.40 (-28.00 to -13.00) |" in card
    assert "negative" not in card
