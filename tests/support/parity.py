"""Live scores against the offline path: the same functions over the whole log at once, without a worker."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from riskstream.models.domain import load_domain
from riskstream.models.offline import Vectors, replay
from riskstream.schemas.digests import vector_digest
from tests.support.pipeline import Out, Pipeline


def assert_as_offline(pipeline: Pipeline, outs: Sequence[Out]) -> int:
    """Every live feature vector is the offline one, bit for bit, and so is what is a repeat; answers their number."""
    live, offline = live_and_offline(pipeline, outs)
    assert [score["vector"] for score in live] == vector_digest(offline.features)
    assert [score["duplicate"] for score in live] == (offline.original >= 0).tolist()
    return int(np.sum(offline.original >= 0))


def live_and_offline(pipeline: Pipeline, outs: Sequence[Out]) -> tuple[list[dict[str, Any]], Vectors]:
    """The scores as they were published, and what the offline path makes of the same events; row k of both is one."""
    domain = load_domain("riskstream.models.payment")
    scores = {out.of: json.loads(out.value or b"") for out in outs if out.topic == pipeline.topics[1]}
    good = [record for record in pipeline.fed if (record.partition, record.offset) in scores]
    events = [msgspec.json.decode(record.value or b"", type=domain.event) for record in good]
    partitions = np.array([record.partition for record in good], np.int32)
    offsets = np.array([record.offset for record in good], np.int64)
    live = [scores[record.partition, record.offset] for record in good]
    return live, replay(domain, events, partitions, offsets)
