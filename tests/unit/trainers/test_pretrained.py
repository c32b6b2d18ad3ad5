"""From a folder of the library transformers to a model that is served without it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit import candidates
from tests.unit.pretrained import bring, save_pictures, save_texts
from tests.unit.texts import sentences, write_texts

from headrace.dataset.shards import ShardWriter
from headrace.errors import DataError, EngineError, ParamsError
from headrace.formats.record import RawRecord
from headrace.intake import image_classification as intake
from headrace.storage.local import write_json
from headrace.trainers.pretrained import read_folder
from headrace.training import loop
from headrace.training.candidate import load_candidate

TEXTS: dict[str, Any] = {
    "trainer": "pretrained",
    "network": "pretrained",
    "network_options": {"dropout": 0.0},
    "init_from": "folder",
    "backbone": {"frozen_epochs": 1, "lr_factor": 0.5},
    "encoding": {"max_tokens": 12},
    "epochs": 3,
    "batch_size": 8,
    "bucket_by_length": True,
    "channels_last": False,
    "optimizer": {"peak_lr": 0.01},
    "calibrate": True,
    "threads": 1,
}
PICTURES = {key: value for key, value in TEXTS.items() if key not in {"encoding", "bucket_by_length"}}
COLOURS = ("red", "green", "blue", "grey", "black")

BLOCKED = "import sys\nsys.modules['transformers'] = None\n"


def write_colours(folder: Path, count: int, *, seed: int = 0) -> None:
    """Pictures of 32 x 32, each with noise and one of five colours."""
    random = np.random.default_rng(seed)
    options = intake.RecordOptions(height=32, width=32, channels=3)
    classes = {name: index for index, name in enumerate(COLOURS)}
    with ShardWriter(
        folder,
        intake.record_schema(options),
        task="image_classification",
        classes=COLOURS,
        record=intake.record_info(options),
    ) as writer:
        raws = []
        for number in range(count):
            image = random.integers(0, 60, (32, 32, 3)).astype(np.uint8)
            kind = number % 5
            if kind < 3:
                image[:, :, kind] += 150
            elif kind == 3:
                image += 120
            raws.append(RawRecord(image, COLOURS[kind], "", "colours", f"{seed}-{number}"))
        if raws:
            writer.write(intake.make_rows(raws, classes, options))


def made(project: Path, settings: dict[str, Any]) -> Path:
    """Trained, and packed."""
    report = candidates.train(settings, project, initial=bring(project, "folder"))
    (project / "train.json").write_text(report.to_json())
    candidates.package(project)
    return project


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("texts")
    save_texts(root / "folder")
    for number, (name, count) in enumerate({"train": 64, "validation": 16, "test": 1000}.items()):
        write_texts(root / "splits" / name, sentences(count, seed=number))
    write_texts(root / "augmented", [])
    return made(root, TEXTS)


@pytest.fixture(scope="module", params=["ResNet", "ViT"])
def pictures(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    save_pictures(root / "folder", request.param)
    for number, (name, count) in enumerate({"train": 80, "validation": 20, "test": 1000}.items()):
        write_colours(root / "splits" / name, count, seed=number)
    write_colours(root / "augmented", 0)
    return made(root, PICTURES | {"epochs": 4, "prediction": {"flip": True}})


def expected(project: Path, column: str) -> tuple[list[Any], np.ndarray]:
    """Records of the test split, and what training predicted for them."""
    table = pq.read_table(project / "predictions.parquet", filters=[("split", "==", "test")])
    records = pq.read_table(project / "splits" / "test" / "part-00000.parquet")[column]
    found = records.to_pylist() if column == "text" else list(records.combine_chunks().to_numpy_ndarray())
    return found, np.array(table["probabilities"].to_pylist(), dtype=np.float32)


def answers_of_predictor(project: Path, records: list[Any]) -> np.ndarray:
    """Of our predictor, in a process that has no transformers."""
    np.save(project / "asked.npy", np.array(records))
    script = (
        f"{BLOCKED}import numpy as np\nfrom pathlib import Path\nfrom headrace.training.predictor import load_predictor\n"
        f"project = Path({str(project)!r})\n"
        "answers = load_predictor(project / 'package')(list(np.load(project / 'asked.npy')))\n"
        "np.save(project / 'answers.npy', answers)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.asarray(np.load(project / "answers.npy"))


def report(project: Path) -> dict[str, Any]:
    return dict(json.loads((project / "train.json").read_text()))


def test_all_but_the_head_is_that_of_the_folder(texts):
    """The report says what was taken over; the library's pooler is left out, because nothing reads it."""
    told = report(texts)

    assert told["initial"]["fresh"] == ["head"]
    assert told["initial"]["share"] > 0.99
    assert told["validation_accuracy"] > 0.9


def test_what_is_cut_off_is_that_of_the_settings(texts):
    """tokenizer.json asks for three tokens, filled up to 128; `train.encoding` has twelve."""
    encoding = json.loads((texts / "candidate" / "model.json").read_text())["description"]["encoding"]

    assert encoding["shape"] == [12, 151]
    assert (encoding["measured"]["texts"], encoding["measured"]["unknown_tokens"]) == (64, 0.0)
    assert 0 < encoding["measured"]["truncated_texts"] <= 1


def test_a_thousand_raw_texts_are_answered_as_in_training_without_transformers(texts):
    """The tokenizer travels with the program, through our predictor and through MLflow; nothing of us is there in the second."""
    records, probabilities = expected(texts, "text")

    assert len(records) == 1000
    np.testing.assert_allclose(answers_of_predictor(texts, records), probabilities, atol=1e-6)
    elsewhere = candidates.answers_elsewhere(texts, records, without=("headrace", "pyarrow", "transformers"))
    np.testing.assert_allclose(elsewhere, probabilities, atol=1e-6)


def test_a_thousand_raw_pictures_are_answered_as_in_training_without_transformers(pictures):
    """Scale and size of the pictures are part of the program."""
    records, probabilities = expected(pictures, "image")

    assert len(records) == 1000
    np.testing.assert_allclose(answers_of_predictor(pictures, records), probabilities, atol=1e-6)


def test_pictures_are_learnt_from_any_number_of_classes(pictures):
    """Five here; the folder knows of none."""
    told = report(pictures)
    model = json.loads((pictures / "candidate" / "model.json").read_text())

    assert told["initial"]["fresh"] == ["head"]
    assert told["validation_accuracy"] > 0.5
    assert model["network"]["options"]["size"] == [16, 16]
    assert model["description"]["preprocessing"] == {"mean": [0.5] * 3, "std": [0.25] * 3}


def test_serving_needs_the_tokenizer_and_not_the_library(texts, pictures):
    """13 MB and three seconds of import less in every server."""
    named = {line.partition("==")[0] for line in (texts / "package" / "requirements.txt").read_text().split()}

    assert named == {"numpy", "tokenizers", "torch"}
    assert "tokenizers" not in (pictures / "package" / "requirements.txt").read_text()


def test_any_text_has_an_answer(texts):
    """Empty, half of a surrogate pair, or of a million characters."""
    from headrace.training.predictor import load_predictor

    answer = load_predictor(texts / "package")(["", "\0", "\ud800 goal", "goal " * 200_000])

    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


def test_nothing_of_somebodys_machine_is_kept(texts):
    """config.json may hold the path that its author loaded it from, and names of code to fetch."""
    config = json.loads((texts / "candidate" / "model.json").read_text())["network"]["options"]["config"]

    assert config["model_type"] == "bert"
    assert not config.keys() & {"_name_or_path", "architectures", "auto_map", "transformers_version", "id2label"}


@pytest.mark.parametrize("at", [5, 12])
def test_an_interrupted_training_ends_in_the_same_bits(texts, tmp_path, monkeypatch, at):
    """Frozen as well as free."""
    for name in ("splits", "augmented", "initial"):
        shutil.copytree(texts / name, tmp_path / name)
    taken = {"count": 0}
    step = loop.Precision.step

    def stopping(self, *args, **kwargs):
        taken["count"] += 1
        if taken["count"] == at + 1:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(loop.fit, "__kwdefaults__", {**loop.fit.__kwdefaults__, "save_every_s": 0.0})
    monkeypatch.setattr(loop.Precision, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        candidates.train(TEXTS, tmp_path, initial=tmp_path / "initial")
    monkeypatch.undo()
    candidates.train(TEXTS, tmp_path, initial=tmp_path / "initial")

    for name in ("candidate/model.safetensors", "candidate/model.json", "predictions.parquet"):
        assert (tmp_path / name).read_bytes() == (texts / name).read_bytes()


def test_a_model_made_so_is_a_place_to_start_from_again(texts, tmp_path):
    """Its folder says what its body is, and which tokens it was trained for."""
    shutil.copytree(texts / "candidate", tmp_path / "folder")
    for name in ("splits", "augmented"):
        shutil.copytree(texts / name, tmp_path / name)
    settings = {key: value for key, value in TEXTS.items() if key != "encoding"} | {"epochs": 1}
    told = candidates.train(settings, tmp_path, initial=bring(tmp_path, "folder"))

    assert told.initial.fresh == []
    assert load_candidate(tmp_path / "candidate")[1].description["encoding"]["shape"] == [12, 151]


def train_from(project: Path, texts: Path, **changes: Any) -> None:
    for name in ("splits", "augmented"):
        shutil.copytree(texts / name, project / name)
    candidates.train(TEXTS | changes, project, initial=bring(project, "folder"))


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"network": "transformer"}, "trains train.network pretrained, which is transformer here"),
        ({"init_from": None}, "name it in train.init_from"),
        ({"trainer": "network"}, "for a folder of transformers set train.trainer and train.network to pretrained"),
        ({"encoding": {"max_tokens": 41}}, r"it knows 40 positions, train.encoding.max_tokens is 41"),
        ({"encoding": {"max_tokens": 2}}, r"every text has 2 tokens that mark its ends"),
        ({"encoding": {"vocabulary": 9}}, "vocabulary: the tokenizer that comes with train.init_from has decided that"),
        ({"network_options": {"width": 3}}, "width"),
        ({"augmentation": {"drop_tokens": 0.1}}, "to a pretrained encoder every token says something"),
    ],
)
def test_settings_that_say_something_else_are_named(texts, tmp_path, changes, told):
    save_texts(tmp_path / "folder")
    with pytest.raises(ParamsError, match=told):
        train_from(tmp_path, texts, **changes)


@pytest.mark.badinput
def test_a_folder_for_pictures_does_not_read_texts(texts, pictures, tmp_path):
    shutil.copytree(pictures / "folder", tmp_path / "folder")
    with pytest.raises(ParamsError, match=r"is a (resnet|vit), which reads pictures; these records are of text_classification"):
        train_from(tmp_path, texts, encoding={})


@pytest.mark.badinput
def test_pictures_of_other_channels_are_refused(texts, tmp_path):
    save_pictures(tmp_path / "folder", "ResNet", channels=1)
    for name, count in {"splits/train": 20, "splits/validation": 5, "splits/test": 5, "augmented": 0}.items():
        write_colours(tmp_path / name, count)
    with pytest.raises(ParamsError, match=r"pictures of 1 channels, these have 3; set collect.record.channels"):
        candidates.train(PICTURES, tmp_path, initial=bring(tmp_path, "folder"))


@pytest.mark.badinput
def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    """It is none of the packages that everybody has."""
    folder = save_texts(tmp_path / "folder")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EngineError, match=r"pip install 'headrace\[pretrained\]'"):
        read_folder(folder, {"init_from": "folder"})


def set_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", config | values)


def set_weights(folder: Path, **values: torch.Tensor) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(weights | values, folder / "model.safetensors", metadata={"format": "pt"})


def drop_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("encoder.layer.0.output.dense.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


FAULTS = {
    "no config.json": (lambda folder: (folder / "config.json").unlink(), ParamsError, r"folder has no config\.json"),
    "no tokenizer": (
        lambda folder: (folder / "tokenizer.json").unlink(),
        ParamsError,
        r"has no tokenizer\.json, which says which tok",
    ),
    "another architecture": (
        lambda folder: set_config(folder, model_type="berd"),
        ParamsError,
        r"model_type 'berd'.*Did you mean 'bert'",
    ),
    "code to fetch": (
        lambda folder: set_config(folder, model_type="own", auto_map={"AutoModel": "own.Model"}),
        ParamsError,
        "Code that a folder brings is never run",
    ),
    "broken JSON": (lambda folder: (folder / "config.json").write_text("{"), DataError, r"config\.json is not JSON"),
    "a list": (lambda folder: (folder / "config.json").write_text("[]"), DataError, r"config\.json holds no mapping"),
    "no tokenizer's JSON": (
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        DataError,
        "not understood by the library tok",
    ),
    "a tokenizer of another model": (
        lambda folder: set_config(folder, vocab_size=100),
        DataError,
        r"number 149, and vocab_size is 100",
    ),
    "weights of another vocabulary": (
        lambda folder: set_config(folder, vocab_size=180),
        DataError,
        r"'embeddings.word_embeddings.weight' is 200x16 in model.safetensors, and 180x16 by config.json",
    ),
    "weights of another model": (drop_weight, DataError, r"no 'encoder.layer.0.output.dense.weight' of a bert"),
    "damaged weights": (
        lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 90),
        DataError,
        "cannot be read by the library",
    ),
    "NaN": (
        lambda folder: set_weights(folder, **{"encoder.layer.0.output.dense.bias": torch.full((16,), torch.nan)}),
        DataError,
        "holds NaN or infinity",
    ),
}


@pytest.mark.badinput
@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_none_is_refused_by_what_is_wrong(tmp_path, fault):
    """Before a step is trained: weights under the wrong numbers would train, and badly."""
    folder = save_texts(tmp_path / "folder")
    spoil, kind, told = FAULTS[fault]
    spoil(folder)
    with pytest.raises(kind, match=told):
        read_folder(folder, {"init_from": "folder"})


@pytest.mark.badinput
def test_pictures_without_their_scale_are_refused(tmp_path):
    folder = save_pictures(tmp_path / "folder", "ViT")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ParamsError, match=r"has no preprocessor_config\.json, which says size, mean"):
        read_folder(folder, {"init_from": "folder"})


@pytest.mark.badinput
@pytest.mark.parametrize(
    "values",
    [
        {"image_mean": 0.5},
        {"image_mean": None},
        {"resample": None},
        {"rescale_factor": None},
        {"size": {"height": 24}},
        {"image_mean": [0.5]},
    ],
)
def test_a_scale_that_is_none_is_named(tmp_path, values):
    """Of one number torch would make three channels."""
    folder = save_pictures(tmp_path / "folder", "ViT")
    path = folder / "preprocessor_config.json"
    write_json(path, json.loads(path.read_text()) | values)

    with pytest.raises(DataError, match=r"preprocessor_config\.json cannot be understood: .*Save the image processor again"):
        read_folder(folder, {"init_from": "folder"})


@pytest.mark.parametrize(
    ("values", "scale", "options"),
    [
        ({"size": 24, "resample": 3}, (0.5, 0.25), ([24, 24], "bicubic")),
        (
            {"size": {"shortest_edge": 20}, "crop_size": {"height": 18, "width": 16}, "do_center_crop": True},
            (0.5, 0.25),
            ([18, 16], "bilinear"),
        ),
        ({"do_normalize": False}, (0.0, 1.0), ([16, 16], "bilinear")),
        ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [63.75] * 3}, (0.5, 0.25), ([16, 16], "bilinear")),
        ({"do_resize": False}, (0.5, 0.25), None),
    ],
)
def test_what_a_folder_says_of_its_pictures_is_kept(tmp_path, values, scale, options):
    """Older and newer versions of the library write sizes in their own ways."""
    folder = save_pictures(tmp_path / "folder", "ViT")
    path = folder / "preprocessor_config.json"
    write_json(path, json.loads(path.read_text()) | values)
    initial, found = read_folder(folder, {"init_from": "folder"})

    assert initial.known["preprocessing"] == {"mean": [scale[0]] * 3, "std": [scale[1]] * 3}
    assert (found.get("size"), found.get("interpolation")) == (options or (None, None))
