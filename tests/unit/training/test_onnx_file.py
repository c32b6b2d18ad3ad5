"""An ONNX file that reaches beyond itself is refused before onnxruntime sees it."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from headrace.errors import DataError
from headrace.training import onnx_file
from headrace.training.onnx_candidate import open_checked
from headrace.training.onnx_file import ProgramRefused, open_function


def double(**graph: object) -> onnx.ModelProto:
    """Twice its input."""
    made = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.array(2, np.float32), "two")],
        **graph,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_program_of_plain_operators_is_opened() -> None:
    program = open_function(double().SerializeToString(), name="double")

    np.testing.assert_array_equal(program(np.ones((3, 2), np.float32)), np.full((3, 2), 2, np.float32))


def elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def branch(model: onnx.ModelProto) -> None:
    inside = double().graph
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=inside, else_branch=inside))


def hidden_tensor(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret")
    model.graph.node[0].attribute.append(helper.make_attribute("value", tensor))


ATTACKS: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "data in another file": (elsewhere, "in another file"),
    "data of an attribute in another file": (hidden_tensor, "in another file"),
    "an operator of another library": (
        lambda m: m.graph.node.append(helper.make_node("Run", ["x"], ["z"], domain="evil.lib")),
        r"calls 'evil\.lib\.Run'",
    ),
    "Python of onnxruntime": (
        lambda m: m.graph.node.append(helper.make_node("PyOp", ["x"], ["z"], domain="ai.onnx.contrib")),
        r"calls 'ai\.onnx\.contrib\.PyOp'",
    ),
    "a branch": (branch, "calls 'If'"),
    "a tensor of any size": (
        lambda m: m.graph.node.append(helper.make_node("ConstantOfShape", ["x"], ["z"])),
        "calls 'ConstantOfShape'",
    ),
    "a function of its own": (
        lambda m: m.functions.append(helper.make_function("own", "Mul", ["a"], ["b"], [], [])),
        "functions of its own",
    ),
    "two outputs": (lambda m: m.graph.output.append(m.graph.output[0]), "one input and one output"),
}


@pytest.mark.badinput
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_reaches_beyond_itself_is_refused(attack: str) -> None:
    change, message = ATTACKS[attack]
    model = double()
    change(model)

    with pytest.raises(ProgramRefused, match=message):
        open_function(model.SerializeToString(), name="evil.onnx")


@pytest.mark.badinput
@pytest.mark.parametrize("content", [b"", b"not an ONNX file", double().SerializeToString()[:-9]])
def test_a_damaged_file_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(DataError, match=r"broken\.onnx"):
        open_checked(content, name="broken.onnx")


@pytest.mark.badinput
def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is parsed."""
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 10)

    with pytest.raises(ProgramRefused, match="may have 10"):
        open_function(double().SerializeToString(), name="large.onnx")


@pytest.mark.badinput
def test_an_operator_set_of_the_future_is_refused_in_words() -> None:
    model = double()
    model.opset_import[0].version = 999

    with pytest.raises(DataError, match="cannot be opened by onnxruntime"):
        open_checked(model.SerializeToString(), name="future.onnx")
