"""The glue: read the splits, let the own model fit, write the model folder and the predictions that the other stages read.

Run by the DAG: python -m headrace.stages own_trainer.train --splits data/splits --model models/candidate
    --predictions reports/predictions.parquet
"""

from pathlib import Path

import torch
from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_table
from headrace.params import Out, Report, Section
from headrace.tasks.image_classification import features, inputs
from headrace.training.candidate import load_candidate, write_candidate, write_predictions

from own_trainer.model import fit
from own_trainer.network import build, convert


class Params(Section):
    """`train` in params.yaml."""

    network: str
    gamma: float
    components: int
    c: float
    seed: int


class TrainReport(Report):
    """reports/train.json."""

    train_accuracy: float


def run(params: Params, *, splits: Path, model: Out, predictions: Out, fingerprint: str) -> TrainReport:
    """Fit on the training split, predict the test split with the model as it was saved."""
    info, train, test = read_info(splits / "train"), read_table(splits / "train"), read_table(splits / "test")
    pixels, labels = features(train, info.record), train["label"].to_numpy()
    fitted = fit(pixels, labels, gamma=params.gamma, components=params.components, c=params.c, seed=params.seed)

    options = {"components": params.components, "gamma": params.gamma}
    network = convert(fitted, build(options, input_shape=info.record["shape"], num_classes=len(info.classes)))
    # The network takes pixels in [0, 1] as they are: a mean of 0 and a deviation of 1 change nothing.
    described = {"preprocessing": {"mean": [0.0], "std": [1.0]}, "prediction": {}}
    write_candidate(
        model, network, data=info, name=params.network, options=options, description=described, fingerprint=fingerprint
    )

    program, _ = load_candidate(model)
    with torch.inference_mode():
        probabilities = program(torch.tensor(inputs(test, info.record))).numpy()
    write_predictions(
        predictions,
        ids=test["id"].to_pylist(),
        splits=["test"] * len(test),
        labels=test["label"].to_numpy(),
        probabilities=probabilities,
    )
    return TrainReport(train_accuracy=float(fitted.score(pixels, labels)))
