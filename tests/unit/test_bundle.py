"""A bundle loads only if it is whole, unchanged, safe and made for this feature table."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from riskstream.models.bundle import BundleError, Histogram, Reference, Smoke, load_bundle, write_bundle
from tests.support.tiny_bundle import NAMES, Table, model_of, stumps, tiny_bundle


def test_what_is_written_is_what_is_loaded(tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "bundle", tiny_bundle())
    assert load_bundle(tmp_path / "bundle", Table()) == written
    assert written.label == "tiny@1.2.3"


def test_the_same_bundle_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_bundle(tmp_path / name, tiny_bundle())
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["bundle.json", "model.onnx", "reference.json", "smoke.json"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)


def test_a_bundle_never_changes(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", tiny_bundle())
    with pytest.raises(BundleError, match="already exists"):
        write_bundle(tmp_path / "bundle", tiny_bundle())


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    unwritable = tiny_bundle(metrics={"auc": object()})
    with pytest.raises(TypeError):
        write_bundle(tmp_path / "bundle", unwritable)
    assert list(tmp_path.iterdir()) == []


def cut(path: Path, name: str) -> None:
    (path / name).write_bytes((path / name).read_bytes()[:-40])


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


def flip(path: Path, name: str) -> None:
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data)


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A damage: the manifest, changed."""

    def damage(path: Path) -> None:
        manifest = json.loads((path / "bundle.json").read_text())
        change(manifest)
        (path / "bundle.json").write_text(json.dumps(manifest))

    return damage


# What was done to the directory after it was written -> what the error says.
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "the directory is gone": (shutil.rmtree, "not a directory"),
    "it is a file": (replace_by_file, "not a directory"),
    "no manifest": (lambda p: (p / "bundle.json").unlink(), "bundle.json: No such file"),
    "no model": (lambda p: (p / "model.onnx").unlink(), "model.onnx: No such file"),
    "no smoke cases": (lambda p: (p / "smoke.json").unlink(), "smoke.json: No such file"),
    "half a manifest": (lambda p: cut(p, "bundle.json"), "bundle.json: Input data was truncated"),
    "half a model": (lambda p: cut(p, "model.onnx"), "model.onnx: sha256 is"),
    "half a reference": (lambda p: cut(p, "reference.json"), "reference.json: sha256 is"),
    "one bit of the model": (lambda p: flip(p, "model.onnx"), "model.onnx: sha256 is"),
    "a manifest in Latin-1": (lambda p: (p / "bundle.json").write_bytes(b'{"name":"\xe9"}'), "bundle.json: .*utf-8"),
    "a manifest too deep": (
        lambda p: (p / "bundle.json").write_bytes(b'{"x":' + b"[" * 100_000),
        "bundle.json: .*deep|recur",
    ),
    "no hash for a file": (edited(lambda m: m["files"].pop("model.onnx")), "gives no sha256 for model.onnx"),
    "a later format": (edited(lambda m: m.update(format=2)), "bundle.json: Invalid enum value 2"),
    "a version that is none": (edited(lambda m: m.update(version="latest")), "bundle.json: .*version"),
    "a threshold that is null": (edited(lambda m: m["thresholds"].update(review=None)), "got `null`"),
    "a threshold that is NaN": (edited(lambda m: m["thresholds"].update(review=math.nan)), "JSON is malformed"),
    "review above decline": (edited(lambda m: m["thresholds"].update(review=0.9)), "review <= decline <= 1, not 0.9"),
    "a calibration upside down": (edited(lambda m: m["calibration"].update(slope=-1.0)), "calibration.slope"),
    "an output of another kind": (edited(lambda m: m["output"].update(kind="ranking")), "output.kind"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bundle"
    write_bundle(path, tiny_bundle())
    act, message = DAMAGES[damage]
    act(path)
    with pytest.raises(BundleError, match=message):
        load_bundle(path, Table())


HISTOGRAM = Histogram(edges=(), counts=(0,))
# Parts that are whole but not of one another -> what the error says.
STRANGERS: dict[str, tuple[dict[str, Any], str]] = {
    "the reference of another model": (
        {"reference": Reference(rows=0, features={"amount": HISTOGRAM}, score=HISTOGRAM, decisions={})},
        "reference.json: its features are not those of bundle.json",
    ),
    "smoke cases of another model": (
        {"smoke": Smoke(rows=((None, 1.0, 2.0), (None, 1.0)), expected=(0.5, 0.5))},
        "smoke.json: case 1 has 2 values for 3 features",
    ),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_parts_of_another_bundle_are_refused(tmp_path: Path, stranger: str) -> None:
    part, message = STRANGERS[stranger]
    write_bundle(tmp_path / "bundle", replace(tiny_bundle(), **part))
    with pytest.raises(BundleError, match=message):
        load_bundle(tmp_path / "bundle", Table())


# The feature table of this release -> what the error says.
OTHER_TABLES = {
    "another order": (
        Table(names=("amount", "count_1h", "hour")),
        "feature 1 is hour in the model and count_1h in the",
    ),
    "one more": (
        Table(names=(*NAMES, "mcc")),
        r"feature 3 is none in the model and mcc in the feature table \(3 and 4",
    ),
    "one less": (Table(names=NAMES[:2]), "feature 2 is count_1h in the model and none in the feature table"),
    "other definitions": (
        Table(id="feedfeedfeedfeed"),
        "feature set 0123456789abcdef but the table is feedfeedfeedfeed",
    ),
}


@pytest.mark.parametrize("table", OTHER_TABLES)
def test_a_bundle_for_another_feature_table_is_refused(tmp_path: Path, table: str) -> None:
    write_bundle(tmp_path / "bundle", tiny_bundle())
    features, message = OTHER_TABLES[table]
    with pytest.raises(BundleError, match=message):
        load_bundle(tmp_path / "bundle", features)


def outside(name: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    return tensor


def branch() -> onnx.NodeProto:
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "inner", [], [])
    return helper.make_node("Identity", ["features"], ["y"], body=inner)


def with_function() -> bytes:
    model = onnx.load_model_from_string(model_of(stumps()))
    node = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "Own", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]))
    return bytes(model.SerializeToString())


# A model's graph -> what the error says.
GRAPHS: dict[str, tuple[Callable[[], bytes], str]] = {
    "not ONNX": (lambda: b"a pickle, perhaps", "not an ONNX model"),
    "empty": (lambda: b"", "model.onnx: not a valid ONNX model"),
    "an operator not listed": (
        lambda: model_of(helper.make_node("RandomUniformLike", ["features"], ["probabilities"])),
        "operator :RandomUniformLike is not on the allow-list",
    ),
    "a listed name of another domain": (
        lambda: model_of(helper.make_node("Identity", ["features"], ["probabilities"], domain="com.microsoft")),
        "operator com.microsoft:Identity is not on the allow-list",
    ),
    "an operator with a graph inside": (lambda: model_of(branch()), "Identity holds a graph of its own"),
    "a local function": (with_function, "local functions"),
    "a tensor in another file": (
        lambda: model_of(stumps(), initializer=(outside("w"),)),
        "'w' keeps its data in another",
    ),
    "an attribute in another file": (
        lambda: model_of(helper.make_node("Constant", [], ["probabilities"], value=outside("c"))),
        "'c' keeps its data in another file",
    ),
    "a loose end": (lambda: model_of(helper.make_node("Identity", ["x"], ["probabilities"])), "not a valid ONNX model"),
}


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_model_that_is_not_safe_to_run_is_refused(tmp_path: Path, graph: str) -> None:
    make, message = GRAPHS[graph]
    write_bundle(tmp_path / "bundle", tiny_bundle(make()))
    with pytest.raises(BundleError, match=message):
        load_bundle(tmp_path / "bundle", Table())


@pytest.mark.parametrize(("edges", "counts"), [((0.0,), (1,)), ((1.0, 0.0), (1, 1, 1)), ((1.0, 1.0), (1, 1, 1))])
def test_a_histogram_has_rising_edges_and_a_count_for_each_side(
    edges: tuple[float, ...], counts: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="edges"):
        Histogram(edges=edges, counts=counts)
