"""The walk gives ONNX Runtime's bits or steps aside and says why."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from riskstream.models.bundle import Bundle, Output, Smoke
from riskstream.models.calibration import Uncalibrated
from riskstream.models.scorer import Scorer
from riskstream.models.tree_walk import MAX_DEPTH, NotCovered, Rows, TreeWalk
from tests.support.tiny_bundle import NAMES, model_of, stumps, tiny_bundle

WIDTH = len(NAMES)
MODES = ("BRANCH_LT", "BRANCH_LEQ", "BRANCH_GTE", "BRANCH_GT")


class Runtime:
    """One column of ONNX Runtime's answer."""

    def __init__(self, model: bytes, column: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # with more, it adds trees up in another order
        self._session, self._column = onnxruntime.InferenceSession(model, options), column
        self._tensor = self._session.get_outputs()[-1].name

    def __call__(self, rows: Rows) -> Rows:
        said: Rows = self._session.run([self._tensor], {"features": rows})[0]
        return said.reshape(len(rows), -1)[:, self._column]


def grow(depth: int, trees: int, seed: int, modes: tuple[str, ...] = MODES, leaf: str = "class") -> dict[str, Any]:
    """The attributes of random trees of any shape up to a depth; few thresholds, so that paths meet them again."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []  # tree, node, mode, feature, threshold, true child, false child, missing, weight
    ends = np.array([0.0, -0.0, 1e-45, -1e-45, 1.0, -2.5, 3e38, np.inf, -np.inf], np.float32)
    for tree in range(trees):
        pending, count = [(0, 0)], 1
        while pending:
            node, level = pending.pop()
            if level == depth or (level and rng.random() < 0.1):
                rows.append((tree, node, "LEAF", 0, 0.0, 0, 0, 0, rng.normal(0, 0.1)))
                continue
            what = (rng.choice(modes), rng.integers(WIDTH), rng.choice(ends) if rng.random() < 0.5 else rng.normal())
            rows.append((tree, node, *what, count, count + 1, rng.integers(2), None))
            pending += [(count, level + 1), (count + 1, level + 1)]
            count += 2
    names = ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids")
    columns = dict(zip((*names, "missing_value_tracks_true"), list(zip(*rows, strict=True))[:8], strict=True))
    leaves = [(row[0], row[1], 0, row[8]) for row in rows if row[2] == "LEAF"]
    ends_of = dict(zip(("treeids", "nodeids", "ids", "weights"), zip(*leaves, strict=True), strict=True))
    return {f"nodes_{n}": list(v) for n, v in columns.items()} | {f"{leaf}_{n}": list(v) for n, v in ends_of.items()}


def classifier(attributes: dict[str, Any], **more: Any) -> bytes:
    given = {"classlabels_int64s": [0, 1], "post_transform": "NONE", **attributes, **more}
    node = helper.make_node("TreeEnsembleClassifier", ["features"], ["label", "probabilities"], domain="ai.onnx.ml")
    node.attribute.extend(helper.make_attribute(name, value) for name, value in given.items())
    return model_of(node)


def walk_of(model: bytes, column: int = 1) -> TreeWalk:
    return TreeWalk(model, WIDTH, "probabilities", column)


def rows(count: int, seed: int = 0) -> Rows:
    values = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)
    values[::3, 0] = np.nan
    return values


NO_ROWS = rows(0)


@pytest.mark.parametrize("mode", [(mode,) for mode in MODES] + [MODES], ids="-".join)
@pytest.mark.parametrize("depth", [1, 3, 6, MAX_DEPTH])
def test_random_trees_of_every_mode_give_the_same_bits(mode: tuple[str, ...], depth: int) -> None:
    model = classifier(grow(depth, trees=9, seed=depth, modes=mode))
    walk_of(model).prove(Runtime(model), rows(10))


@pytest.mark.parametrize("more", [{"post_transform": "LOGISTIC"}, {"base_values": [0.3]}])
def test_a_transform_and_a_base_value_give_the_same_bits(more: dict[str, Any]) -> None:
    model = classifier(grow(4, trees=100, seed=1), **more)
    walk_of(model).prove(Runtime(model), rows(10))


def test_a_regressor_gives_the_same_bits() -> None:
    attributes = grow(5, trees=30, seed=2, leaf="target")
    node = helper.make_node("TreeEnsembleRegressor", ["features"], ["probabilities"], domain="ai.onnx.ml", n_targets=1)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    model = model_of(node)
    walk_of(model, column=0).prove(Runtime(model, column=0), rows(10))


def test_a_row_has_the_same_bits_in_every_batch() -> None:
    walk, sample = walk_of(classifier(grow(6, trees=50, seed=3))), rows(300)
    for size in (1, 7, 64):
        parts = [walk(sample[start : start + size]) for start in range(0, 300, size)]
        assert np.concatenate(parts).tobytes() == walk(sample).tobytes()


def test_rows_need_not_lie_one_after_the_other_nor_be_writable() -> None:
    walk, sample = walk_of(model_of(stumps())), rows(10)
    sample.flags.writeable = False
    assert walk(sample[::2]).tobytes() == walk(sample)[::2].tobytes()


@pytest.fixture(scope="module")
def trained() -> bytes:
    """A model of our own trainer: every split is there because rows came by."""
    boosting = pytest.importorskip("riskstream.models.training.boosting")
    learners = pytest.importorskip("riskstream.models.training.learners")
    config = pytest.importorskip("riskstream.models.training.config")
    rng = np.random.default_rng(10)
    features = rng.exponential(100, (3000, WIDTH)).round(1).astype(np.float32)
    features[rng.random(features.shape) < 0.2] = np.nan
    labels = (np.nansum(features, axis=1) + rng.normal(0, 50, len(features)) > 400).astype(np.uint8)
    way = learners.Way(config.Model(trees=10), seed=1)
    return bytes(boosting.fit(learners.lesson_of(features, labels, 2), way).export("small").model)


def test_a_model_of_our_own_trainer_gives_the_same_bits(trained: bytes) -> None:
    TreeWalk(trained, WIDTH, "logits", 1).prove(Runtime(trained), rows(10))


@pytest.mark.parametrize("ulp", [1, -1])
def test_a_threshold_off_by_the_last_bit_is_found_wherever_it_is(trained: bytes, ulp: int) -> None:
    runtime, walk = Runtime(trained), TreeWalk(trained, WIDTH, "logits", 1)
    for tree, place in np.argwhere(walk.splits)[::17]:
        right = walk.splits[tree, place]
        walk.splits[tree, place] = int(right) + (ulp << 32)
        with pytest.raises(NotCovered, match="differs from ONNX Runtime on check row"):
            walk.prove(runtime, NO_ROWS)
        walk.splits[tree, place] = right
    walk.prove(runtime, NO_ROWS)


def test_a_missing_value_sent_the_wrong_way_is_found() -> None:
    model = classifier(grow(3, trees=8, seed=5))
    walk = walk_of(model)
    bound, feature = divmod(int(walk.splits[2, 1]), 1 << 32)
    walk.splits[2, 1] = (bound << 32) + (feature + WIDTH) % (2 * WIDTH)
    with pytest.raises(NotCovered, match="differs"):
        walk.prove(Runtime(model), NO_ROWS)


def changed(name: str, index: int, value: object) -> bytes:
    attributes = grow(3, trees=2, seed=6)
    attributes[name][index] = value
    return classifier(attributes)


NODE, TREES = helper.make_node("Identity", ["features"], ["probabilities"]), grow(2, trees=2, seed=7)
UNCOVERED = {
    "another operator": (model_of(NODE), "more than an ensemble of trees: Identity"),
    "a mode": (changed("nodes_modes", 0, "BRANCH_EQ"), "do not fit together: KeyError.*BRANCH_EQ"),
    "a child that is not there": (changed("nodes_truenodeids", 0, 999), r"KeyError\(\(0, 999\)\)"),
    "a circle": (changed("nodes_truenodeids", 0, 0), "a branch leads to a root"),
    "a feature too far": (changed("nodes_featureids", 0, WIDTH), "a feature beyond 3"),
    "a threshold that is no number": (changed("nodes_values", 0, np.nan), "a threshold or the weight"),
    "a weight of no leaf": (changed("class_nodeids", 0, 999), "KeyError"),
    "a node twice": (changed("nodes_nodeids", 1, 0), "a node twice|KeyError"),
    "a column that ends early": (classifier(TREES | {"nodes_values": [0.0]}), "ValueError"),
    "no nodes": (classifier({}), "more than one sum of weights"),
    "two sums": (changed("class_ids", 0, 1), "more than one sum of weights"),
    "three classes": (classifier(TREES, classlabels_int64s=[0, 1, 2]), "more than one sum of weights"),
    "two base values": (classifier(TREES, base_values=[0.1, 0.2]), "one base value"),
    "a transform": (classifier(TREES, post_transform="SOFTMAX"), "transform SOFTMAX"),
    "an attribute": (classifier(TREES, nodes_news=[1]), "attribute nodes_news"),
    "too deep": (classifier(grow(MAX_DEPTH + 1, trees=3, seed=8)), f"deeper than {MAX_DEPTH}"),
}


@pytest.mark.parametrize("case", UNCOVERED)
def test_what_the_walk_does_not_cover_is_named(case: str) -> None:
    model, reason = UNCOVERED[case]
    with pytest.raises(NotCovered, match=reason):
        walk_of(model)


def test_the_other_class_is_left_to_the_runtime() -> None:
    with pytest.raises(NotCovered, match="not column 1"):
        walk_of(model_of(stumps()), column=0)


def bundle_of(model: bytes) -> Bundle:
    """A bundle whose smoke case is what the model says of one row."""
    row = (0.5, None, -1.0)
    said = Runtime(model)(np.array([row], np.float64).astype(np.float32))[0]
    output = Output(kind="logit", tensor="probabilities", column=1, classes=("honest", "fraud"))
    smoke = Smoke(rows=(row,), expected=(float(1 / (1 + np.exp(-np.float64(said)))),))
    return replace(tiny_bundle(model, calibration=Uncalibrated(), output=output), smoke=smoke)


def test_scores_have_the_same_bits_with_either_engine() -> None:
    bundle = bundle_of(classifier(grow(6, trees=40, seed=9)))
    walk, runtime = Scorer(bundle), Scorer(bundle, own_walk=False)
    assert (walk.engine, walk.engine_reason) == ("tree_walk", "")
    assert (runtime.engine, runtime.engine_reason) == ("onnxruntime", "the walk is switched off")
    assert walk(rows(500)).tobytes() == runtime(rows(500)).tobytes()


def test_the_runtime_scores_what_the_walk_does_not_cover() -> None:
    bundle = bundle_of(classifier(grow(MAX_DEPTH + 1, trees=3, seed=8)))
    scorer = Scorer(bundle)
    assert (scorer.engine, scorer.engine_reason) == ("onnxruntime", f"trees deeper than {MAX_DEPTH}")
    assert scorer(rows(5)).shape == (5,)
