"""The program file: same numbers, same bytes, any batch size."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from headrace.errors import DataError
from headrace.storage.manifest import write_manifest
from headrace.training.export import PROGRAM_NAME, as_function, export_program, largest_difference, load_program
from headrace.training.image_classification import ImageClassifier, PredictionOptions, Preprocessing
from headrace.training.network import build_network
from headrace.training.program import open_program


def classifier(name="mlp", shape=(8, 8, 1)):
    torch.manual_seed(0)
    network, _ = build_network(name, {}, input_shape=shape, num_classes=10)
    preprocessing = Preprocessing(mean=[0.3] * shape[2], std=[0.4] * shape[2])
    return ImageClassifier(network, preprocessing, PredictionOptions(flip=True)).eval()


def pictures(count, shape=(8, 8, 1)):
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def content():
    return export_program(classifier(), pictures(2), name="mlp")


@pytest.mark.parametrize(("name", "shape"), [("small_cnn", (8, 8, 1)), ("mlp", (8, 8, 1)), ("whitened_cnn", (32, 32, 3))])
def test_program_computes_what_the_network_computes(name, shape):
    """Every network of the table, with averaging over two views, for one record, seven, and many."""
    module = classifier(name, shape)

    program = as_function(open_program(export_program(module, pictures(2, shape), name=name), name=PROGRAM_NAME))

    assert largest_difference(program, module, pictures(40, shape)) <= 1e-6
    for batch in (1, 7, 40):
        assert program(pictures(batch, shape)).shape == (batch, 10)


def test_bytes_do_not_depend_on_the_process(content, tmp_path):
    """DVC hashes the file: another process, folder and hash seed must write the same."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_export as t; "
    code += "sys.stdout.buffer.write(t.export_program(t.classifier(), t.pictures(2), name='mlp'))"
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]

    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, env=environment).stdout

    assert other == content


def test_file_holds_no_path_and_no_time(content):
    """Stack traces would carry the home folder of whoever trained into every package."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 0, 0, 0, 0, 0)}
        for entry in archive.infolist():
            for trace in (b".py", b"site-packages", sys.prefix.encode(), b"/home"):
                assert trace not in archive.read(entry)


class BranchesOnTheBatch(nn.Module):
    def forward(self, x):
        return x.float().sum(dim=1) if len(x) < 5 else x.float().mean(dim=1)


class BranchesOnValues(nn.Module):
    def forward(self, x):
        return x.float() if x.sum() > 3 else -x.float()


@pytest.mark.parametrize("module", [BranchesOnTheBatch(), BranchesOnValues()])
def test_network_that_cannot_be_exported_is_named(module):
    """The user's own network: the message says which and what to change."""
    with pytest.raises(DataError, match="network 'own:net' cannot be exported for any batch size"):
        export_program(module.eval(), torch.ones(2, 3), name="own:net")


def test_nan_counts_as_the_largest_difference():
    """NaN compares false with every limit; it must not pass one."""
    assert largest_difference(lambda x: x * float("nan"), nn.Identity(), torch.ones(3, 2)) == float("inf")


def test_package_loads_after_its_manifest_was_checked(content, tmp_path):
    """The way in for everybody who serves."""
    (tmp_path / PROGRAM_NAME).write_bytes(content)
    write_manifest(tmp_path)

    assert load_program(tmp_path)(pictures(3)).shape == (3, 10)
    (tmp_path / PROGRAM_NAME).write_bytes(content[:-1] + b"x")
    with pytest.raises(DataError, match=r"model\.pt2 has changed"):
        load_program(tmp_path)


def test_folder_without_a_program_is_no_package(tmp_path):
    """A manifest alone is not enough."""
    write_manifest(tmp_path)

    with pytest.raises(DataError, match=r"has no model\.pt2"):
        load_program(tmp_path)
