"""A bundle small enough to read: three features, three hundred one-split trees. For the tests of bundle and scorer."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import onnx
from onnx import TensorProto, helper

from riskstream.models.bundle import Bundle, Histogram, Manifest, Output, Reference, Smoke, Training
from riskstream.models.calibration import Platt
from riskstream.models.policy import Policy
from riskstream.models.scorer import Scorer

NAMES = ("amount", "hour", "count_1h")


@dataclass(frozen=True)
class Table:
    """Stands for a feature table."""

    names: tuple[str, ...] = NAMES
    id: str = "0123456789abcdef"


def stumps(trees: int = 300, seed: int = 0) -> onnx.NodeProto:
    """Trees of one split each at a random feature and threshold; every second one sends a missing value left."""
    rng = np.random.default_rng(seed)
    three = np.repeat(np.arange(trees), 3)
    leaves = np.repeat(np.arange(trees), 2)
    return helper.make_node(
        "TreeEnsembleClassifier", ["features"], ["label", "probabilities"], domain="ai.onnx.ml",
        nodes_treeids=three, nodes_nodeids=np.tile([0, 1, 2], trees), nodes_modes=["BRANCH_LT", "LEAF", "LEAF"] * trees,
        nodes_featureids=np.ravel([[f, 0, 0] for f in rng.integers(0, len(NAMES), trees)]),
        nodes_values=np.ravel([[v, 0, 0] for v in rng.normal(size=trees)]).astype(np.float32),
        nodes_truenodeids=np.tile([1, 0, 0], trees), nodes_falsenodeids=np.tile([2, 0, 0], trees),
        nodes_missing_value_tracks_true=np.ravel([[tree % 2, 0, 0] for tree in range(trees)]),
        class_treeids=leaves, class_nodeids=np.tile([1, 2], trees), class_ids=np.zeros(2 * trees, int),
        class_weights=rng.normal(0, 0.1, 2 * trees).astype(np.float32),
        classlabels_int64s=[0, 1], post_transform="LOGISTIC",
    )  # fmt: skip


def model_of(*nodes: onnx.NodeProto, initializer: tuple[onnx.TensorProto, ...] = ()) -> bytes:
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(NAMES)])]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])]
    graph = helper.make_graph(list(nodes), "tiny", inputs, outputs, initializer=list(initializer))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    return bytes(helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())


def tiny_bundle(model: bytes | None = None, **manifest: object) -> Bundle:
    """Whole and right, except for what the test changes. Its smoke case is what the unchanged model says."""
    fields: dict[str, object] = {
        "name": "tiny",
        "version": "1.2.3",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "input": "features",
        "output": Output(tensor="probabilities", column=1, classes=("honest", "fraud")),
        "features": NAMES,
        "feature_set": Table().id,
        "calibration": Platt(slope=0.9, intercept=-0.2),
        "thresholds": Policy(review=0.5, decline=0.8),
        "training": Training(fingerprint="00", events=1, parameters={}, libraries={}),
        "metrics": {},
    }
    histogram = Histogram(edges=(0.0,), counts=(1, 0))
    reference = Reference(rows=1, features=dict.fromkeys(NAMES, histogram), score=histogram, decisions={"approve": 1})
    smoke = Smoke(rows=((0.5, None, -1.0), (None, None, None)), expected=(0.046825660965, 0.078967052689))
    return Bundle(Manifest(**{**fields, **manifest}), model_of(stumps()) if model is None else model, reference, smoke)  # type: ignore[arg-type]


def scores_of(bundle: Bundle, rows: np.ndarray) -> np.ndarray:
    return Scorer(bundle)(rows.astype(np.float32))
