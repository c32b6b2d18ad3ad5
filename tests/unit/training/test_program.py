"""Opening a program never runs what it brings: each way in which torch would is refused, and the canary file stays absent."""

import contextlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from headrace.errors import DataError
from headrace.training.export import export_program
from headrace.training.program import open_program, refuse_code


class Halve(nn.Module):
    """Two weights and a constant."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("shift", torch.ones(2), persistent=False)

    def forward(self, x):
        return self.layer(x.float()) / 2 + self.shift


@pytest.fixture(scope="module")
def content():
    return export_program(Halve().eval(), torch.zeros(2, 3), name="halve")


class Canary:
    """A pickle that makes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def rewritten(content, change):
    """The archive with its records, a dict of bytes, changed; written by torch's own writer."""
    reader = torch._C.PyTorchFileReader(io.BytesIO(content))
    names = reader.get_all_records()
    records = {name: reader.get_record(name) for name in names if not name.startswith(".data/") and name != "byteorder"}
    change(records)
    target = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(target)
    writer.set_min_version(6)  # as torch.export does: the version then stands in .data/
    for name, value in records.items():
        writer.write_record(name, value, len(value))
    writer.write_end_of_file()
    return target.getvalue()


def edit_json(name, change):
    def edit(records):
        value = json.loads(records[name])
        change(value)
        records[name] = json.dumps(value).encode()

    return edit


def first_node(program):
    return program["graph_module"]["graph"]["nodes"][0]


def first_payload(config):
    return next(iter(config["config"].values()))


def size_expression(text):
    def change(program):
        tensor = next(t for t in program["graph_module"]["graph"]["tensor_values"].values() if "as_expr" in t["sizes"][0])
        tensor["sizes"][0]["as_expr"]["expr_str"] = text

    return edit_json("models/model.json", change)


def test_an_honest_program_opens_unchanged(content):
    """Rewriting the archive without a change is accepted: it is the content that is judged."""
    x = torch.rand(5, 3)

    for each in (content, rewritten(content, lambda records: None)):
        module = open_program(each, name="model.pt2").module()
        assert module(x).shape == (5, 2)


WEIGHTS, CONSTANTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"

ATTACKS = {
    "pickled weight": edit_json(WEIGHTS, lambda config: first_payload(config).update(use_pickle=True)),
    "pickled constant": edit_json(CONSTANTS, lambda config: first_payload(config).update(use_pickle=True)),
    "opaque object": edit_json(CONSTANTS, lambda config: first_payload(config).update(path_name="opaque_obj_0")),
    "custom object": lambda records: records.update({"data/constants/custom_obj_0": b"x"}),
    "legacy weights": lambda records: records.update({"data/weights/model.pt": b"x"}),
    "compiled library": lambda records: records.update({"data/aotinductor/model/model.so": b"x"}),
    "second program": lambda records: records.update({"models/other.json": records["models/model.json"]}),
    "old format": lambda records: records.update({"version": b"8.1"}),
    "guards": edit_json("models/model.json", lambda program: program.update(guards_code=["__import__('os').system('true')"])),
    "operator": edit_json("models/model.json", lambda program: first_node(program).update(target="torch.os.system")),
    "reading files": edit_json("models/model.json", lambda p: first_node(p).update(target="torch.ops.aten.from_file.default")),
    "call in a size": size_expression("__import__('os').getpid()"),
    "attribute in a size": size_expression("Symbol('s0').__class__"),
    "sympy's own tools in a size": size_expression("preview(s0)"),
    "text in a size": size_expression("Symbol('__import__')"),
}


@pytest.mark.badinput
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_whatever_runs_as_code_is_refused(content, attack):
    """The six places in which torch 2.13 runs what an archive brings."""
    with pytest.raises(DataError, match="which runs as code when it is opened"):
        refuse_code(rewritten(content, attack), name="model.pt2")


@pytest.mark.badinput
def test_poisoned_sample_inputs_never_reach_pickle(content, tmp_path):
    """Torch falls back to an unrestricted pickle for them: its own loader makes the canary, ours does not."""
    canary = tmp_path / "PWNED"
    poison = io.BytesIO()
    torch.save(({}, Canary(canary)), poison)
    poisoned = rewritten(content, lambda records: records.update({"data/sample_inputs/model.pt": poison.getvalue()}))

    with pytest.raises(DataError, match="pickled sample inputs"):
        open_program(poisoned, name="evil/model.pt2")
    assert not canary.exists()

    with contextlib.suppress(TypeError):  # raised by torch's own log line, after the pickle ran
        torch.export.load(io.BytesIO(poisoned))
    assert canary.exists(), "torch no longer runs pickles of sample inputs: the check can go"


@pytest.mark.badinput
def test_bare_pickle_called_model_is_refused(tmp_path):
    """A renamed pickle or checkpoint is no program."""
    canary = tmp_path / "PWNED"
    checkpoint = io.BytesIO()
    torch.save(Canary(canary), checkpoint)

    for content in (pickle.dumps(Canary(canary)), checkpoint.getvalue()):
        with pytest.raises(DataError, match=r"not a program that torch\.export saved"):
            open_program(content, name="evil/model.pt2")

    assert not canary.exists()


@pytest.mark.badinput
def test_archive_that_readers_disagree_on_is_refused(content):
    """A file behind the archive that only Python's reader sees would be opened by torch's fallback."""
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr("version", "8.1")

    with pytest.raises(DataError):
        refuse_code(content + hidden.getvalue(), name="model.pt2")


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1), flip=st.integers(0, 255), junk=st.binary(max_size=20))
def test_damage_is_a_clear_refusal(content, cut, flip, junk):
    """Truncated, flipped or foreign bytes: our error, never another exception."""
    place = int(cut * (len(content) - 23))  # the last 22 bytes close the archive
    flipped = bytearray(content)
    flipped[place] ^= flip

    for damaged in (content[:place], content[:place] + junk, junk):
        with pytest.raises(DataError, match=r"model\.pt2"):
            refuse_code(damaged, name="model.pt2")
    with contextlib.suppress(DataError):  # a flipped weight is the manifest's to find
        refuse_code(bytes(flipped), name="model.pt2")
