"""Did the worker serve what the log says? Its scores name their vectors; the log's are made again and compared.

A score carries a digest of its vector, not the vector. What went wrong is found by trying: the vector is made as each
known fault would have made it, and a digest that then agrees convicts the fault and names the features it changed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.models.dataset.lives import Lives
from riskstream.models.dataset.suspects import suspects
from riskstream.models.dataset.vectors import Advance, Facts, Snapshots, vectors
from riskstream.models.domain import Domain
from riskstream.schemas.digests import vector_digest

Ints = NDArray[np.int64]
Vectors = NDArray[np.float32]
EXAMINED = 300  # differing events that are tried with every fault
UNEXPLAINED = "no known fault"


class Scored(NamedTuple):
    """What was served: hashes of the events' ids, digests, and whether the score said that something was missing."""

    event_hash: Ints
    vector: Sequence[str]
    degraded: NDArray[np.bool_]


class Cause(NamedTuple):
    """A fault with the number of examined events that it explains, and for how many of them a feature changed."""

    fault: str
    events: int
    features: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Parity:
    """Scores by how they compare. `unknown`: of events that the log lacks; `unscored`: events without a score."""

    scores: int
    agree: int
    differ: int
    degraded: int
    unknown: int
    unscored: int
    causes: tuple[Cause, ...]

    @property
    def holds(self) -> bool:
        return self.scores > 0 and not self.differ and not self.unknown


def compare(
    domain: Domain, facts: Facts, snapshots: Snapshots, scored: Scored, advance: Advance = lambda _: None
) -> Parity:
    """Compare scores with the complete log that they are of. Scores that declare a lack are only counted."""
    made = vectors(domain, facts, snapshots, advance)
    originals = np.flatnonzero(made.original < 0)
    hashes = facts.columns["event_hash"][originals]
    order = np.argsort(hashes)
    place = np.minimum(np.searchsorted(hashes[order], scored.event_hash), len(order) - 1)
    known = hashes[order][place] == scored.event_hash
    rows = originals[order[place]]
    judged = np.flatnonzero(known & ~scored.degraded)
    expected = vector_digest(made.features[rows[judged]])
    wrong = judged[[here != scored.vector[k] for here, k in zip(expected, judged.tolist(), strict=True)]]
    lives = Lives(domain, facts, made.original)
    return Parity(
        scores=len(scored.vector),
        agree=len(judged) - len(wrong),
        differ=len(wrong),
        degraded=int((known & scored.degraded).sum()),
        unknown=int((~known).sum()),
        unscored=len(originals) - len(np.unique(rows[known])),
        causes=_explain(lives, snapshots, made.features, rows[wrong], [scored.vector[k] for k in wrong]),
    )


def _explain(
    lives: Lives, snapshots: Snapshots, truth: Vectors, rows: Ints, served: Sequence[str]
) -> tuple[Cause, ...]:
    """The faults that give the served digests, those that explain most first. A repeat is examined once."""
    rows, index = np.unique(rows, return_index=True)
    spread = np.linspace(0, len(rows) - 1, min(EXAMINED, len(rows))).astype(int)
    rows, wanted = rows[spread], [served[k] for k in index[spread].tolist()]
    events: Counter[str] = Counter()
    features: dict[str, Counter[str]] = {}
    left = np.arange(len(rows))
    for fault, tried in suspects(lives, snapshots, truth[rows], rows):
        if not len(left):
            break
        digests = vector_digest(tried[left])
        hit = left[[digest == wanted[k] for digest, k in zip(digests, left.tolist(), strict=True)]]
        events[fault] += len(hit)
        changed = _changed(truth[rows[hit]], tried[hit]).sum(axis=0)
        counts = features.setdefault(fault, Counter())
        counts.update({name: int(n) for name, n in zip(lives.domain.features.names, changed, strict=True) if n})
        left = np.setdiff1d(left, hit)
    events[UNEXPLAINED] = len(left)
    found = [(fault, count) for fault, count in events.most_common() if count]
    return tuple(Cause(fault, count, tuple(features.get(fault, Counter()).most_common())) for fault, count in found)


def _changed(left: Vectors, right: Vectors) -> NDArray[np.bool_]:
    changed: NDArray[np.bool_] = ~((left == right) | (np.isnan(left) & np.isnan(right)))
    return changed
