"""What a model's ONNX graph may hold: a short list of operators, and nothing that reaches outside the file.

A bundle comes from outside, so its graph is read before it is run. The operators on the list are deterministic, have no
control flow, state or I/O, and as models use them work on each row by itself (the scorer's smoke test looks whether
they do). Extend the list when a model needs it and the operator keeps these promises.
"""

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError

TREES = {"TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"}
LINEAR = {"LinearClassifier", "LinearRegressor"}
PREPARATION = {"Imputer", "Scaler", "FeatureVectorizer", "ArrayFeatureExtractor"}
ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Neg", "Exp", "Log", "Clip", "Where", "IsNaN", "Less", "Greater"}
# A sum's last bits depend on its order, and that on the batch's shape, unless its terms are whole numbers.
WHOLE = {"Min", "Max", "Round", "ReduceSum"}
LAYERS = {"Gemm", "MatMul", "Relu", "Tanh", "Sigmoid", "Softmax"}
SHAPES = {"Cast", "Identity", "Constant", "Concat", "Gather", "Slice", "Squeeze", "Unsqueeze", "Reshape", "Flatten"}
ALLOWED_OPERATORS = {"ai.onnx.ml": TREES | LINEAR | PREPARATION, "": ARITHMETIC | WHOLE | LAYERS | SHAPES}


class GraphError(ValueError):
    """The graph is not one that we run."""


def check_graph(model: bytes) -> None:
    """Raises GraphError unless the model is well-formed ONNX made of allowed operators with all its data inside."""
    try:
        proto = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise GraphError("not an ONNX model") from error
    if proto.functions or proto.training_info:
        raise GraphError("has local functions or training graphs; export the plain inference graph")
    # First: the checker below would go and open such a file.
    for tensor in _tensors(proto.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise GraphError(f"tensor {tensor.name!r} keeps its data in another file; export with the data inside")
    for node in proto.graph.node:
        _check_node(node)
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise GraphError(f"not a valid ONNX model: {str(error).splitlines()[0]}") from error


def _check_node(node: onnx.NodeProto) -> None:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if node.op_type not in ALLOWED_OPERATORS.get(domain, ()):
        raise GraphError(f"operator {domain}:{node.op_type} is not on the allow-list of riskstream.models.graph")
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            raise GraphError(f"operator {node.op_type} holds a graph of its own")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for tensor in sparse:
        yield tensor.values
        yield tensor.indices
