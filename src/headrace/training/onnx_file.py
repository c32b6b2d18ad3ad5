"""Open an ONNX file without letting it reach beyond itself. Copied into every registered model that has one, so it imports nothing of ours.

onnxruntime calls native code for each operator, reads tensors from files beside the model, and loops as long as a graph says. A fitted
model needs tables, sums and comparisons: a file with another operator, a loop, a function of its own or data elsewhere is refused before
onnxruntime sees it, and what it sees is what was checked.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError

MAX_BYTES = 256 * 1024 * 1024
"""A linear model of 200,000 words and 20 classes has 16 MB, 1,000 trees of 100 leaves 20 MB."""

_TENSORS = """
    Abs Add And ArgMax ArgMin Cast Ceil Clip Concat Div Equal Exp Flatten Floor Gather Gemm Greater GreaterOrEqual Identity IsNaN
    Less LessOrEqual Log LogSoftmax MatMul Max Mean Min Mul Neg Not Or Pow ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape
    Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze Where
"""
_FITTED = """
    ArrayFeatureExtractor FeatureVectorizer Imputer LinearClassifier LinearRegressor Normalizer OneHotEncoder Scaler SVMClassifier
    SVMRegressor TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor
"""
# None of these makes a tensor larger than its inputs and constants ask for, branches or repeats.
OPERATORS = {"": frozenset(_TENSORS.split()), "ai.onnx.ml": frozenset(_FITTED.split())}
"""What a graph may call, by domain."""


class ProgramRefused(ValueError):
    """The file is damaged, or reaches beyond itself."""


def open_function(content: bytes, *, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The program in the bytes of an ONNX file, as a function of arrays: one input (N, ...), one output (N, K); `name` is for messages.

    Raises:
        ProgramRefused: the file is damaged, too large, or holds more than operators on its own tensors.
        Exception: whatever onnxruntime raises, such as for an operator set that this version does not have.
    """
    # What was checked, written anew: two readers of protobuf may understand odd bytes differently.
    checked = checked_model(content, name=name).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # sums in one order on every machine
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(checked, options, providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()

    def run(records: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run([given.name], {taken.name: records})[0]
        return found

    return run


def checked_model(content: bytes, *, name: str) -> Any:
    """The ModelProto of an ONNX file that holds operators on its own tensors and nothing else.

    Raises:
        ProgramRefused: it does not; the message says what was found.
    """
    if len(content) > MAX_BYTES:
        raise ProgramRefused(f"{name} is refused: it has {len(content):,} bytes, an ONNX model here may have {MAX_BYTES:,}.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ProgramRefused(f"{name} is not an ONNX model: {str(error)[:200]}. Make the package again.") from None
    model.DiscardUnknownFields()
    if not model.graph.node or len(model.graph.input) != 1 or len(model.graph.output) != 1:
        raise ProgramRefused(f"{name} is not an ONNX model with one input and one output. Make the package again.")
    for found in _beyond(model):
        raise ProgramRefused(f"{name} is refused: {found}. Only use models whose origin you know.")
    return model


def _beyond(model: Any) -> Iterator[str]:
    """What in a model reaches beyond tables and sums, in words."""
    if model.functions:
        yield "it defines functions of its own"
    if model.training_info:
        yield "it has training steps"
    graph = model.graph
    if graph.sparse_initializer:
        yield "it has sparse tensors"
    for tensor in graph.initializer:
        yield from _elsewhere(tensor)
    for node in graph.node:
        if node.op_type not in OPERATORS.get("" if node.domain == "ai.onnx" else node.domain, ()):
            yield f"it calls '{f'{node.domain}.' if node.domain else ''}{node.op_type}'"[:120]
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                yield f"'{node.op_type}' has a graph inside"
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors or attribute.ref_attr_name:
                yield f"'{node.op_type}' has the attribute '{attribute.name[:60]}' of a kind that no fitted model needs"
            for tensor in [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]:
                yield from _elsewhere(tensor)


def _elsewhere(tensor: Any) -> Iterator[str]:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        yield f"the values of '{tensor.name[:60]}' are in another file"
    elif tensor.data_type == onnx.TensorProto.STRING:
        yield f"'{tensor.name[:60]}' holds texts"
