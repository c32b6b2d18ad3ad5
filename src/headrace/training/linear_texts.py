"""Linear models of texts as candidates: counts of words and runs of words, weights, and an ONNX program that adds them up."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from pydantic import Field
from scipy.sparse import csr_matrix, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer

from headrace.dataset.schema import read_info
from headrace.dataset.shards import iter_tables
from headrace.errors import ParamsError
from headrace.params import Section
from headrace.training.estimator import Estimator, EstimatorReport, Lesson, fit_candidate
from headrace.training.job import Job
from headrace.training.options import TrainConfig
from headrace.training.temperature import NEVER, measure_temperature, scores_of_all, softmax

if TYPE_CHECKING:
    from headrace.tasks.contract import Task

OPSET = 17


class TermOptions(Section):
    """What is counted in a text."""

    words: Literal[1, 2, 3] = 2
    """Longest run of words that counts as one term."""
    min_documents: int = Field(default=2, ge=1)
    """Training texts that a term must occur in."""
    vocabulary: int = Field(default=200_000, ge=1, le=1_000_000)
    """Terms at most, those in the most texts."""
    max_words: int = Field(default=10_000, ge=1, le=100_000)
    """Words of one text that are read, from its beginning; the report says what is cut off."""


def train_linear(
    params: TrainConfig,
    job: Job,
    terms: TermOptions,
    make: Callable[[int], Any],
    *,
    weighting: Literal["tfidf", "presence"],
    has_probabilities: bool,
) -> EstimatorReport:
    """Fit a linear classifier on counts of terms, and write it as the candidate.

    Args:
        params: section `train`.
        job: where to read and write.
        terms: what is counted.
        make: an unfitted classifier with `decision_function`, from a seed.
        weighting: of counts; tfidf: logarithms, rare terms weigh more, length 1; presence: 1.
        has_probabilities: the softmax of its scores means something. Otherwise, and with `train.calibrate`, one temperature that makes it
            so is measured on the validation split.
    """

    def learn(task: "Task", folders: Sequence[Path]) -> Mapping[str, Any]:
        fit_terms = getattr(task, "fit_terms", None)
        if fit_terms is None:
            raise ParamsError(
                f"train.trainer '{params.trainer}' counts words, and records of this task are no texts. Choose another trainer, such as "
                "`network`."
            )
        settings = terms.model_dump(include={"words", "min_documents", "vocabulary", "max_words"})
        found: Mapping[str, Any] = fit_terms(_texts(task, folders), **settings)
        if not found["terms"]:
            raise ParamsError(
                f"no term occurs in {terms.min_documents} training texts. Lower train.trainer_options.min_documents, or add texts."
            )
        return found

    def fit(lesson: Lesson) -> Estimator:
        return _fit(lesson, make(lesson.seed), weighting=weighting, calibrate=lesson.calibrate or not has_probabilities)

    return fit_candidate(params, job, fit, learn=learn, join=_sparse)


def _texts(task: "Task", folders: Sequence[Path]) -> Any:
    for folder in folders:
        record = read_info(folder).record
        for table in iter_tables(folder):
            yield task.inputs(table, record)


def _sparse(parts: Sequence[Any]) -> csr_matrix:
    """Encoded texts (N, L, 2), or matrices made of them, as one matrix of counts; column 0 is that of no term."""
    rows = [part if isinstance(part, csr_matrix) else _counts(part) for part in parts]
    width = max(each.shape[1] for each in rows)
    for each in rows:
        each.resize((each.shape[0], width))
    return rows[0] if len(rows) == 1 else csr_matrix(vstack(rows, format="csr"))


def _counts(encoded: np.ndarray) -> csr_matrix:
    rows, places = np.nonzero(encoded[:, :, 1])
    columns, counts = encoded[rows, places, 0], encoded[rows, places, 1].astype(np.float64)
    width = int(columns.max(initial=0)) + 1
    return csr_matrix((counts, (rows, columns)), shape=(len(encoded), width))


def _fit(lesson: Lesson, model: Any, *, weighting: str, calibrate: bool) -> Estimator:
    width = lesson.x.shape[1]
    tfidf = TfidfTransformer(sublinear_tf=True).fit(lesson.x[:, 1:]) if weighting == "tfidf" else None

    def features(counts: csr_matrix) -> csr_matrix:
        counts = counts.copy()
        counts.resize((counts.shape[0], width))
        x = counts[:, 1:]
        return tfidf.transform(x) if tfidf is not None else (x > 0).astype(np.float64)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features(lesson.x), lesson.y)

    present, classes = model.classes_, lesson.classes

    def scores(counts: csr_matrix) -> np.ndarray:
        return scores_of_all(model.decision_function(features(counts)), present, classes)

    temperature = measure_temperature(scores, lesson.held_out, present) if calibrate else None
    divisor = temperature or 1.0
    coefficients, intercepts = model.coef_, model.intercept_
    if len(coefficients) == 1:  # of two classes, the second; the first has the score 0
        coefficients, intercepts = np.vstack([np.zeros_like(coefficients), coefficients]), np.append(0.0, intercepts)
    weights, bias = np.zeros((width, classes)), np.full(classes, NEVER)
    weights[1:, present], bias[present] = coefficients.T, intercepts
    return Estimator(
        program=linear_program(weights / divisor, bias / divisor, None if tfidf is None else np.append(0.0, tfidf.idf_)),
        answer=lambda counts: softmax(scores(counts) / divisor),
        parameters=int(model.coef_.size + model.intercept_.size),
        temperature=temperature,
        problems=[" ".join(str(warning.message).split()).split(". ")[0] for warning in caught],
    )


def linear_program(weights: np.ndarray, bias: np.ndarray, idf: np.ndarray | None) -> bytes:
    """ONNX of a linear classifier: numbers and counts of terms, int32 (N, L, 2), to probabilities (N, K) float32.

    Args:
        weights: (V + 1, K); row 0 is that of no term.
        bias: (K,).
        idf: (V + 1,), 0 for no term: values are logarithms of counts times idf, scaled to length 1; None: each term counts once.
    """
    constants: dict[str, np.ndarray] = {
        "weights": weights.astype(np.float32),
        "bias": bias.astype(np.float32),
        "first": np.array(0, np.int64),
        "second": np.array(1, np.int64),
        "one": np.array(1, np.float32),
        "along_terms": np.array([1], np.int64),
        **({"idf": idf.astype(np.float32), "tiny": np.array(1e-12, np.float32)} if idf is not None else {}),
    }
    make = helper.make_node
    nodes = [
        make("Gather", ["terms", "first"], ["numbers"], axis=2),
        make("Gather", ["terms", "second"], ["whole"], axis=2),
        make("Cast", ["whole"], ["counts"], to=TensorProto.FLOAT),
        make("Min", ["counts", "one"], ["present"]),
    ]
    values = "present"
    if idf is not None:
        values = "values"
        nodes += [
            make("Max", ["counts", "one"], ["at_least_one"]),
            make("Log", ["at_least_one"], ["logarithms"]),
            make("Add", ["present", "logarithms"], ["frequencies"]),
            make("Gather", ["idf", "numbers"], ["rarity"]),
            make("Mul", ["frequencies", "rarity"], ["products"]),
            make("Mul", ["products", "products"], ["squares"]),
            make("ReduceSum", ["squares", "along_terms"], ["sum"], keepdims=1),
            make("Sqrt", ["sum"], ["root"]),
            make("Max", ["root", "tiny"], ["length"]),
            make("Div", ["products", "length"], ["values"]),
        ]
    nodes += [
        make("Gather", ["weights", "numbers"], ["rows"], axis=0),
        make("Unsqueeze", [values, "along_terms"], ["row"]),
        make("MatMul", ["row", "rows"], ["added"]),
        make("Squeeze", ["added", "along_terms"], ["totals"]),
        make("Add", ["totals", "bias"], ["scores"]),
        make("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "linear_texts",
        [helper.make_tensor_value_info("terms", TensorProto.INT32, ["records", "terms_of_the_longest", 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["records", weights.shape[1]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="headrace")
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
