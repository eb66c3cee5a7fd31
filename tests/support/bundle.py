"""A bundle over the payment features that needs no training: random trees, real scores, made in a moment."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from riskstream.models.bundle import Bundle, Histogram, Manifest, Output, Reference, Smoke, Training, write_bundle
from riskstream.models.calibration import Platt
from riskstream.models.domain import Domain
from riskstream.models.policy import Policy


def write_random_bundle(path: Path, domain: Domain, trees: int = 50, **changed: object) -> Path:
    """A model of one-split trees that looks at every feature. Its smoke case pins the missing-everything row."""
    names = domain.features.names
    manifest = Manifest(
        name="random",
        version="1.0.0",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        input="features",
        output=Output(tensor="probabilities", column=1, classes=("honest", "fraud")),
        features=names,
        feature_set=domain.features.id,
        calibration=Platt(slope=1.0, intercept=0.0),
        thresholds=Policy(review=0.5, decline=0.6),
        training=Training(fingerprint="00", events=1, parameters={}, libraries={}),
        metrics={},
    )
    manifest = msgspec.structs.replace(manifest, **changed)
    histogram = Histogram(edges=(0.0,), counts=(1, 0))
    reference = Reference(rows=1, features=dict.fromkeys(names, histogram), score=histogram, decisions={"approve": 1})
    model = _model(len(names), trees)
    smoke = Smoke(rows=((None,) * len(names),), expected=(_score_of_nothing(model, len(names)),))
    write_bundle(path, Bundle(manifest, model, reference, smoke))
    return path


def _score_of_nothing(model: bytes, width: int) -> float:
    session = onnxruntime.InferenceSession(model)
    return float(session.run(["probabilities"], {"features": np.full((1, width), np.nan, np.float32)})[0][0, 1])


def _model(width: int, trees: int) -> bytes:
    rng = np.random.default_rng(5)
    leaves = np.repeat(np.arange(trees), 2)
    node = helper.make_node(
        "TreeEnsembleClassifier", ["features"], ["label", "probabilities"], domain="ai.onnx.ml",
        nodes_treeids=np.repeat(np.arange(trees), 3), nodes_nodeids=np.tile([0, 1, 2], trees),
        nodes_modes=["BRANCH_LT", "LEAF", "LEAF"] * trees,
        nodes_featureids=np.ravel([[tree % width, 0, 0] for tree in range(trees)]),
        nodes_values=np.ravel([[value, 0, 0] for value in 10 ** rng.uniform(-1, 5, trees)]).astype(np.float32),
        nodes_truenodeids=np.tile([1, 0, 0], trees), nodes_falsenodeids=np.tile([2, 0, 0], trees),
        nodes_missing_value_tracks_true=np.ravel([[tree % 2, 0, 0] for tree in range(trees)]),
        class_treeids=leaves, class_nodeids=np.tile([1, 2], trees), class_ids=np.zeros(2 * trees, int),
        class_weights=rng.normal(0, 0.3, 2 * trees).astype(np.float32),
        classlabels_int64s=[0, 1], post_transform="LOGISTIC",
    )  # fmt: skip
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    graph = helper.make_graph([node], "random", inputs, outputs)
    return bytes(onnx.helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())
