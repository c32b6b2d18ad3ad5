"""The model card: what people wrote in model_card.md, with what is known of this model put between two marks.

Written by huggingface_hub's ModelCard, locally; nothing is sent anywhere.
"""

import logging
from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from headrace.evaluation.measures import ERRORS, say_ends, say_name, say_value, write_value

BEGIN = "<!-- headrace: written by `package`; edits up to the next mark are lost -->"
END = "<!-- headrace: end -->"

BARE = f"# Model card\n\n{BEGIN}\n{END}\n"
"""The card of a project that has no model_card.md."""

EXAMPLE = """```python
from pathlib import Path
from headrace.training.export import load_program

probabilities = load_program(Path("models/package"))(records)   # checks the manifest first
```"""

ENCODED_EXAMPLE = """```python
from pathlib import Path
from headrace.training.predictor import load_predictor

probabilities = load_predictor(Path("models/package"))(texts)   # checks the manifest first
```"""


def render_card(written: str, *, model: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """A README.md: the written card with the generated part between its marks, or at its end when it has none.

    Front matter of people wins over ours.

    Args:
        written: text of model_card.md; '' for none.
        model: model.json.
        evaluation: reports/evaluate.json.
    """
    card = _without_complaints(written.strip() + "\n" if written.strip() else BARE)
    data: dict[str, Any] = {**_metadata(model, evaluation), **card.data.to_dict()}  # type: ignore[no-untyped-call]
    body = _put(card.text, _generated(model, evaluation))
    front = ModelCardData(ignore_metadata_errors=True, **data)
    return f"---\n{front.to_yaml(line_break=chr(10)).strip()}\n---\n\n{body.strip()}\n"


def _without_complaints(text: str) -> ModelCard:
    log = logging.getLogger("huggingface_hub.repocard")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns of a card without front matter, which is a card like any other
    try:
        return ModelCard(text)
    finally:
        log.setLevel(level)


def _put(body: str, generated: str) -> str:
    before, begin, rest = body.partition(BEGIN)
    if not begin:
        return f"{body.rstrip()}\n\n{BEGIN}\n\n{generated}\n\n{END}\n"
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}"


def _metadata(model: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    task = str(model["task"]).rpartition(":")[2].replace("_", "-")
    measured = {name: value for name, value in _metrics(evaluation).items() if value is not None}
    results = [
        EvalResult(
            task_type=task, dataset_type="held-out", dataset_name="test split", metric_type=name, metric_value=round(value, 6)
        )
        for name, value in sorted(measured.items())
    ]
    found = ModelCardData(
        library_name="headrace",
        pipeline_tag=task,
        tags=["headrace", "onnx" if _is_onnx(model) else "torch.export"],
        model_name="candidate",
        eval_results=results,
    )
    if not results:  # a model index without a result is refused by readers of the format
        return {"library_name": "headrace", "pipeline_tag": task}
    return dict(found.to_dict())  # type: ignore[no-untyped-call]


def _generated(model: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    classes, record = model["classes"], model["record"]
    verdict = evaluation.get("verdict", {})
    if not classes and "columns" in record:
        interface = (
            f"`load_predictor` takes rows, as mappings or a data frame, with the columns {_columns(record)}, and gives float32 N x 1: "
            f"{record.get('target', 'the target')}, in its own unit. A column or value that is missing, and a category that was never "
            "seen, have an answer too. Inside, the task's `encode` makes float32 numbers of them by what model.json keeps, which "
            f"`{_program(model)}` takes."
        )
        example = ENCODED_EXAMPLE.replace("(texts)", "(rows)").replace("probabilities", "predicted")
        return _joined(evaluation, verdict, interface, example, model)
    if not classes:
        interface = (
            f"`load_predictor` takes a list of {record.get('payload', 'record')}s and gives float32 numbers, one row each: what they mean "
            "stands in signature.json. Inside, the task's `encode` makes int32 numbers of them with what model.json has under `encoding`, "
            "which `model.pt2` takes."
        )
        return _joined(evaluation, verdict, interface, ENCODED_EXAMPLE.replace("probabilities", "answers"), model)
    if "columns" in record:
        interface = (
            f"`load_predictor` takes rows, as mappings or a data frame, with the columns {_columns(record)}, and gives float32 N x "
            f"{len(classes)}: "
            f"the probability of {_listed(classes)}. A column or value that is missing, and a category that was never seen, have an "
            "answer too. Inside, the task's `encode` makes float32 numbers of them by what model.json keeps, which "
            f"`{_program(model)}` takes."
        )
        return _joined(evaluation, verdict, interface, ENCODED_EXAMPLE.replace("(texts)", "(rows)"), model)
    if "encoding" in model.get("description", {}):
        interface = (
            f"`load_predictor` takes a list of {record.get('payload', 'record')}s and gives float32 N x {len(classes)}: the probability of "
            f"{_listed(classes)}. Inside, the task's `encode` makes int32 numbers of them with the vocabulary in model.json, which "
            f"`{_program(model)}` takes."
        )
        return _joined(evaluation, verdict, interface, ENCODED_EXAMPLE, model)
    shape = " x ".join(["N", *(str(size) for size in record.get("shape", []))])
    interface = (
        f"`{_program(model)}` takes {record.get('dtype', 'float32')} {shape} as the data set stores it, for any N, and gives float32 "
        f"N x {len(classes)}: the probability of {_listed(classes)}. Preprocessing is inside."
    )
    return _joined(evaluation, verdict, interface, EXAMPLE if not _is_onnx(model) else ENCODED_EXAMPLE, model)


def _columns(record: Mapping[str, Any]) -> str:
    return _listed([column["name"] for column in record["columns"] if column["feature"]])


def _is_onnx(model: Mapping[str, Any]) -> bool:
    return bool(model.get("program") == "onnx")


def _program(model: Mapping[str, Any]) -> str:
    return "model.onnx" if _is_onnx(model) else "model.pt2"


def _joined(
    evaluation: Mapping[str, Any], verdict: Mapping[str, Any], interface: str, example: str, model: Mapping[str, Any]
) -> str:
    network = model["network"]
    made = f"{model['parameters']:,} {'fitted numbers' if _is_onnx(model) else 'weights'}"
    origin = (
        f"{'Model' if _is_onnx(model) else 'Network'} `{network['name']}` with {made}. Fingerprint of the training (params, data, code, "
        f"environment): `{model.get('fingerprint') or 'none'}`. Test split: {evaluation.get('test_records', 0):,} records, "
        f"digest `{evaluation.get('test_digest', '')[:16]}`."
    )
    metrics = [[name, _number(value)] for name, value in sorted(_metrics(evaluation).items())]
    sections = [
        _summary(evaluation, verdict),
        "## Measured on the test split",
        _table(["metric", "value"], metrics),
        *_baselines(evaluation),
        "## What it takes and gives",
        interface,
        example,
        "## How it was made",
        origin,
    ]
    return "\n\n".join(section for section in sections if section)


def _summary(evaluation: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    score, measured = evaluation.get("score", ""), evaluation.get("metrics", {})
    if measured.get(score) is None:
        return "Not measured."
    interval = ""
    if evaluation.get("score_low") is not None:
        ends = (write_value(score, end) for end in say_ends(score, evaluation["score_low"], evaluation["score_high"]))
        interval = f" ({evaluation['confidence']:.0%} interval {' to '.join(ends)})"
    gate = "passed the gate" if verdict.get("allowed") else "did **not** pass the gate"
    better = "is shown to beat" if verdict.get("better") else "is not shown to beat"
    reasons = "".join(f"\n- {reason}" for reason in verdict.get("reasons", []))
    name, value = say_name(score).replace("_", " "), say_value(score, measured[score])
    return (
        f"**{name[:1].upper()}{name[1:]} {write_value(score, value)}**{interval} on {evaluation['test_records']:,} test records. "
        f"It {gate} and {better} the best baseline." + (f"\n{reasons}" if reasons else "")
    )


def _metrics(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Errors once, and not with a minus as well."""
    return {name: value for name, value in evaluation.get("metrics", {}).items() if name not in ERRORS}


def _baselines(evaluation: Mapping[str, Any]) -> list[str]:
    score, rows = str(evaluation.get("score", "score")), []
    for each in evaluation.get("comparison", []):
        said = (say_value(score, each["difference"]), *say_ends(score, each["difference_low"], each["difference_high"]))
        difference, low, high = (write_value(score, value, sign=True) for value in said)
        rows.append([each["model"], write_value(score, say_value(score, each["score"])), f"{difference} ({low} to {high})"])
    return ["## Beside the baselines", _table(["baseline", say_name(score), "this model minus it"], rows)] if rows else []


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _listed(classes: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in classes[:20])
    return shown + (f" and {len(classes) - 20} more (model.json has them)" if len(classes) > 20 else "")
