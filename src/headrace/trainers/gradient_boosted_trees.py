"""Gradient-boosted trees on the rows of a table (Friedman 2001; scikit-learn's histograms after Ke et al. 2017).

On some thousands of rows hard to beat, and fitted in seconds; for classes, or for a number to predict. A category is the number of its rank
by frequency, as `train.encoding` gives it to a network: a tree cuts the ranks where it likes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from headrace.errors import ParamsError
from headrace.params import Section, parse_section
from headrace.training import row_encoding
from headrace.training.encoding import learn_encoding
from headrace.training.estimator import Estimator, EstimatorReport, Lesson, fit_candidate
from headrace.training.job import Job
from headrace.training.options import TrainConfig
from headrace.training.temperature import NEVER, measure_temperature, scores_of_all, softmax

if TYPE_CHECKING:
    from headrace.tasks.contract import Task

OPSETS = {"": 17, "ai.onnx.ml": 3}


class Options(Section):
    """`train.trainer_options`."""

    rounds: int = Field(default=200, ge=1, le=10_000)
    """Trees one after the other, each of what those before got wrong; of more than two classes so many for each."""
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    """How much of its correction a tree may make. Half of it wants twice the rounds."""
    leaves: int = Field(default=15, ge=2, le=1024)
    """Leaves of one tree at most."""
    min_records: int = Field(default=20, ge=1)
    """Training records of a leaf at least."""
    columns: float = Field(default=0.5, gt=0, le=1)
    """Share of the encoded columns, drawn anew by the seed, among which one split chooses. At 1 the seed decides nothing up to 200,000
    records; above, it draws those by which numbers are put into bins."""
    penalty: float = Field(default=1.0, ge=0)
    """Of large corrections (L2)."""


def train(params: TrainConfig, job: Job) -> EstimatorReport:
    """Fit them on splits/train and `augmented`."""
    options = parse_section(params.trainer_options, "train.trainer_options", Options, where="params.yaml")

    def learn(task: "Task", folders: Sequence[Path]) -> Mapping[str, Any]:
        if not hasattr(task, "positions"):
            raise ParamsError(
                f"train.trainer '{params.trainer}' reads the columns of a table, and records of this task have none. Choose another "
                "trainer, such as `network`."
            )
        found: Mapping[str, Any] = learn_encoding(task, row_encoding, folders, params.encoding)["encoding"]
        return found

    return fit_candidate(
        params,
        job,
        lambda lesson: fit_classifier(lesson, options),
        fit_number=lambda lesson: fit_regressor(lesson, options),
        learn=learn,
    )


def fit_classifier(lesson: Lesson, options: Options) -> Estimator:
    """Trees that tell classes apart."""
    model = HistGradientBoostingClassifier(**_settings(options, lesson.seed)).fit(lesson.x, lesson.y)
    present, classes = model.classes_, lesson.classes

    def scores(x: np.ndarray) -> np.ndarray:
        return scores_of_all(model.decision_function(x), present, classes)

    temperature = measure_temperature(scores, lesson.held_out, present) if lesson.calibrate else None
    divisor = temperature or 1.0
    trees, start = fitted_trees(model)
    # What trees sum up to, as scores of all classes: between two, the sum is the score of the second, and the first has 0.
    to_classes, bias = np.zeros((len(start), classes)), np.full(classes, NEVER)
    bias[present] = 0
    to_classes[np.arange(len(start)), present[-len(start) :]] = 1
    return Estimator(
        program=classifier_program(trees, start, to_classes / divisor, bias / divisor, width=lesson.x.shape[1]),
        answer=lambda x: softmax(scores(x) / divisor),
        parameters=sum(len(nodes) for nodes, _ in trees),
        temperature=temperature,
    )


def fit_regressor(lesson: Lesson, options: Options) -> Estimator:
    """Trees that predict a number, in its own unit; they make the squared error small."""
    model = HistGradientBoostingRegressor(**_settings(options, lesson.seed)).fit(lesson.x, lesson.y)
    trees, start = fitted_trees(model)
    return Estimator(
        program=regressor_program(trees, start, width=lesson.x.shape[1]),
        answer=lambda x: model.predict(x).reshape(-1, 1),
        parameters=sum(len(nodes) for nodes, _ in trees),
    )


def _settings(options: Options, seed: int) -> dict[str, Any]:
    return {
        "max_iter": options.rounds,
        "learning_rate": options.learning_rate,
        "max_leaf_nodes": options.leaves,
        "min_samples_leaf": options.min_records,
        "max_features": options.columns,
        "l2_regularization": options.penalty,
        "categorical_features": None,
        "early_stopping": False,
        "random_state": seed,
    }


def fitted_trees(model: Any) -> tuple[list[tuple[np.ndarray, int]], np.ndarray]:
    """Nodes of every tree with the sum that it adds to, and what each sum begins with.

    scikit-learn has no public name for them; whoever uses them holds what comes out against the model's own answers.
    """
    trees = [(tree.nodes, place) for together in model._predictors for place, tree in enumerate(together)]  # noqa: SLF001
    return trees, np.asarray(model._baseline_prediction, np.float64).reshape(-1)  # noqa: SLF001


def classifier_program(
    trees: Sequence[tuple[np.ndarray, int]], start: np.ndarray, to_classes: np.ndarray, bias: np.ndarray, *, width: int
) -> bytes:
    """ONNX of trees that tell classes apart: encoded rows, float32 (N, width), to probabilities (N, K) float32.

    Args:
        trees: as `fitted_trees` gives them.
        start: what each of S sums begins with.
        to_classes: (S, K), from sums to scores.
        bias: (K,), added to the scores.
        width: numbers of an encoded row.
    """
    make = helper.make_node
    return _program(
        [
            trees_node(trees, start, taken="rows", given="sums"),
            make("MatMul", ["sums", "to_classes"], ["products"]),
            make("Add", ["products", "bias"], ["scores"]),
            make("Softmax", ["scores"], ["probabilities"], axis=1),
        ],
        {"to_classes": to_classes, "bias": bias},
        width=width,
        given=("probabilities", to_classes.shape[1]),
    )


def regressor_program(trees: Sequence[tuple[np.ndarray, int]], start: np.ndarray, *, width: int) -> bytes:
    """ONNX of trees that predict a number: encoded rows, float32 (N, width), to predictions (N, 1) float32.

    What the sum begins with comes last: corrections of a target far from zero are then added up with all their digits.
    """
    return _program(
        [
            trees_node(trees, np.zeros_like(start), taken="rows", given="sums"),
            helper.make_node("Add", ["sums", "start"], ["predicted"]),
        ],
        {"start": start},
        width=width,
        given=("predicted", len(start)),
    )


def trees_node(trees: Sequence[tuple[np.ndarray, int]], start: np.ndarray, *, taken: str, given: str) -> Any:
    """The operator that adds up the leaves which a row falls into, float32 (N, S)."""
    nodes = np.concatenate([nodes for nodes, _ in trees])
    if nodes["is_categorical"].any():
        raise ValueError("a split by a set of categories is none that this operator has")
    sizes = [len(nodes) for nodes, _ in trees]
    tree_of, place = np.repeat(np.arange(len(trees)), sizes), np.concatenate([np.arange(size) for size in sizes])
    sum_of = np.repeat([target for _, target in trees], sizes)
    leaf = nodes["is_leaf"].astype(bool)
    inner = ~leaf
    return helper.make_node(
        "TreeEnsembleRegressor",
        [taken],
        [given],
        domain="ai.onnx.ml",
        nodes_treeids=tree_of.tolist(),
        nodes_nodeids=place.tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_featureids=np.where(inner, nodes["feature_idx"], 0).tolist(),
        nodes_values=np.where(inner, at_most(nodes["num_threshold"]), 0).tolist(),
        nodes_truenodeids=np.where(inner, nodes["left"], 0).tolist(),
        nodes_falsenodeids=np.where(inner, nodes["right"], 0).tolist(),
        nodes_missing_value_tracks_true=np.where(inner, nodes["missing_go_to_left"], 0).tolist(),
        target_treeids=tree_of[leaf].tolist(),
        target_nodeids=place[leaf].tolist(),
        target_ids=sum_of[leaf].tolist(),
        target_weights=nodes["value"][leaf].tolist(),
        n_targets=len(start),
        base_values=start.tolist(),
        aggregate_function="SUM",
        post_transform="NONE",
    )


def at_most(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each float64: of numbers that are float32, the same ones are not above both."""
    with np.errstate(over="ignore"):  # beyond float32 it becomes infinite, and the largest number in the next line
        nearest = thresholds.astype(np.float32)
        return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _program(nodes: Sequence[Any], constants: Mapping[str, np.ndarray], *, width: int, given: tuple[str, int]) -> bytes:
    name, numbers = given
    graph = helper.make_graph(
        nodes,
        "boosted_trees",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["records", width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["records", numbers])],
        [numpy_helper.from_array(value.astype(np.float32), key) for key, value in constants.items()],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="headrace")
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
