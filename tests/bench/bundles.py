"""The demo's model bundle, and bundles with only the first of its trees."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
from onnx import helper

from riskstream.models.bundle import Bundle, Smoke, load_bundle, write_bundle
from riskstream.models.domain import Domain


def with_fewer_trees(whole: Path, trees: int, path: Path, domain: Domain) -> Path:
    """Writes a bundle with the first `trees` trees of the one at `whole`; a real model, if a worse one."""
    bundle = load_bundle(whole, domain.features)
    model = _cut(bundle.model, trees)
    manifest = msgspec.structs.replace(bundle.manifest, name=f"{bundle.manifest.name}-{trees}-trees")
    write_bundle(path, Bundle(manifest, model, bundle.reference, _smoke(bundle, model)))
    return path


def session_of(model: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime as the scorer sets it up."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def tree_count(path: Path, domain: Domain) -> int:
    """How many trees the bundle's model has."""
    (node,) = onnx.load_from_string(load_bundle(path, domain.features).model).graph.node
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return len(set(attributes["nodes_treeids"]))


def _cut(model: bytes, trees: int) -> bytes:
    """Every list of the ensemble is either per node or per leaf; both come with the number of their tree."""
    graph = onnx.load_from_string(model)
    (node,) = graph.graph.node
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    keep = {kind: np.array(attributes[f"{kind}_treeids"]) < trees for kind in ("nodes", "class")}
    for name, values in attributes.items():
        kind = name.partition("_")[0]
        if kind in keep:
            attributes[name] = [value for value, kept in zip(values, keep[kind], strict=True) if kept]
    replaced = helper.make_node(node.op_type, node.input, node.output, name=node.name, domain=node.domain, **attributes)
    node.CopyFrom(replaced)
    return bytes(graph.SerializeToString())


def _smoke(bundle: Bundle, model: bytes) -> Smoke:
    manifest, rows = bundle.manifest, np.array(bundle.smoke.rows, np.float64).astype(np.float32)
    raw = session_of(model).run([manifest.output.tensor], {manifest.input: rows})[0]
    logits = raw.reshape(len(rows), -1)[:, manifest.output.column].astype(np.float64)
    return Smoke(rows=bundle.smoke.rows, expected=tuple(manifest.calibration.apply(logits).tolist()))
