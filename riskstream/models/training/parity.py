"""The parity gate: what will be served says the same as what was trained, on real rows and on the splits' edges."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from riskstream.models.bundle import Bundle
from riskstream.models.outputs import Answer
from riskstream.models.policy import Policy
from riskstream.models.scorer import Scorer

LIMIT = 1e-6
SAMPLE = 2_000
BATCHES = ((1, 500), (7, 2_100), (256, 8_192), (4_096, 16_384))  # sizes, and with how many rows each is tried

Rows = NDArray[np.float32]
Says = Callable[[Rows], Answer]


class ParityError(Exception):
    """The served model is not the trained one. No bundle is made."""


class Parity(NamedTuple):
    """The largest difference of two scores of a row, how many rows got another decision, and of how many rows."""

    largest: float
    flips: int
    rows: int


def prove(bundle: Bundle, trained: Says, features: Rows, seed: int) -> Parity:
    """Through the scorer that will serve it, so that its smoke cases run here for the first time.

    Raises ParityError, or BundleError if the bundle cannot serve at all.
    """
    scorer = Scorer(bundle)
    rows = np.concatenate([features, boundary_rows(features, boundaries(bundle), seed)])
    parity = check_parity(trained(rows), scorer.answer(rows), bundle.manifest.thresholds)
    check_batches(scorer.answer, rows)
    return parity


def boundaries(bundle: Bundle) -> list[tuple[int, float]]:
    """Every (feature index, threshold) at which a tree of the model branches; of a model without trees the edges of
    the reference's bins, among them both ends of what held-out rows have."""
    found = []
    for node in onnx.load_model_from_string(bundle.model).graph.node:
        parts = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if "nodes_modes" in parts:
            nodes = zip(parts["nodes_modes"], parts["nodes_featureids"], parts["nodes_values"], strict=True)
            found += [(feature, value) for mode, feature, value in nodes if mode != b"LEAF"]
    known = enumerate(bundle.reference.features.values())
    return found or [(index, edge) for index, histogram in known for edge in histogram.edges]


def boundary_rows(features: Rows, splits: Sequence[tuple[int, float]], seed: int) -> Rows:
    """Rows that stand on a split: one feature set to its threshold and to the float32 next to it on either side.

    This is where float32 and float64 comparisons, `<` and `<=`, go separate ways; in ordinary rows it hardly shows.
    """
    rng = np.random.default_rng([seed, *b"boundary"])
    chosen = rng.choice(len(splits), min(SAMPLE, len(splits)), replace=False)
    index = np.array([splits[one][0] for one in chosen])
    threshold = np.array([splits[one][1] for one in chosen], np.float32)
    rows = features[rng.integers(0, len(features), len(chosen))]
    with np.errstate(over="ignore"):  # beyond the largest float32 comes infinity, which is a value like others
        steps = [threshold, *(np.nextafter(threshold, np.float32(end)) for end in (-np.inf, np.inf))]
    moved = []
    for value in steps:
        copy = rows.copy()
        copy[np.arange(len(copy)), index] = value
        moved.append(copy)
    return np.concatenate(moved)


def check_parity(trained: Answer, served: Answer, policy: Policy) -> Parity:
    """Raises ParityError when a score or probability differs by more than LIMIT, or any decision does."""
    largest = float(np.abs(trained.risk - served.risk).max())
    if trained.probabilities is not None and served.probabilities is not None:
        of_classes = np.abs(trained.probabilities - served.probabilities).max()
        largest = float(np.maximum(largest, of_classes))  # unlike max(), keeps a NaN
    flips = int((policy.decide(trained.risk) != policy.decide(served.risk)).sum())
    if not largest <= LIMIT or flips:
        what = f"by up to {largest:.2e} (limit {LIMIT:.0e}), {flips} of {len(trained.risk)} decisions flip"
        raise ParityError(f"scores differ between the trained model and the bundle {what}; no bundle was made")
    return Parity(largest, flips, len(trained.risk))


def check_batches(served: Says, rows: Rows) -> None:
    """Raises ParityError unless a row gets the same bits in a batch of any size."""
    for size, count in BATCHES:
        sample = rows[:count]
        parts = [served(sample[start : start + size]) for start in range(0, len(sample), size)]
        if _bits(parts) != _bits([served(sample)]):
            raise ParityError(f"rows score other bits in batches of {size}; no bundle was made")


def _bits(answers: Sequence[Answer]) -> list[bytes]:
    """Of the risks and of the probabilities, one answer after the other."""
    several = [answer.probabilities for answer in answers if answer.probabilities is not None]
    return [np.concatenate(arrays).tobytes() for arrays in ([answer.risk for answer in answers], several) if arrays]
