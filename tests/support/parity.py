"""Live scores against the offline path: the same functions over the whole log at once, without a worker."""

import json
from collections.abc import Sequence

import msgspec
import numpy as np

from riskstream.models.domain import load_domain
from riskstream.models.features import vector_digest
from riskstream.models.offline import replay
from tests.support.pipeline import Out, Pipeline


def assert_as_offline(pipeline: Pipeline, outs: Sequence[Out]) -> int:
    """Every live feature vector is the offline one, bit for bit, and so is what is a repeat; answers their number."""
    domain = load_domain("riskstream.models.payment")
    scores = {out.of: json.loads(out.value or b"") for out in outs if out.topic == pipeline.topics[1]}
    good = [record for record in pipeline.fed if (record.partition, record.offset) in scores]
    live = [scores[record.partition, record.offset] for record in good]
    events = [msgspec.json.decode(record.value or b"", type=domain.event) for record in good]
    partitions = np.array([record.partition for record in good], np.int32)
    offsets = np.array([record.offset for record in good], np.int64)
    offline = replay(domain, events, partitions, offsets)
    assert [score["vector"] for score in live] == vector_digest(offline.features)
    assert [score["duplicate"] for score in live] == (offline.original >= 0).tolist()
    return int(np.sum(offline.original >= 0))
