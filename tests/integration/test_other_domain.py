"""A team's own domain runs through the unchanged worker: own event, own fact, own features."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from riskstream.models.domain import load_domain
from riskstream.models.offline import replay
from riskstream.schemas.digests import vector_digest
from tests.support.bundle import write_random_bundle
from tests.support.pipeline import Pipeline
from tests.support.tiny_domain import Login

DOMAIN = "tests.support.tiny_domain"
START_MS = 1_788_220_800_000


def test_logins_are_scored_by_the_same_worker(new_pipeline: Callable[..., Pipeline], tmp_path: Path) -> None:
    domain = load_domain(DOMAIN)
    pipeline = new_pipeline(DOMAIN=DOMAIN, BUNDLE=str(write_random_bundle(tmp_path / "logins", domain)))
    logins = [
        Login(
            event_id=f"e{i}", user_id=f"u{i % 7}", event_time=START_MS + 9_000 * i, failures=i % 4, address=f"a{i % 5}"
        )
        for i in range(300)
    ]
    pipeline.feed([(i % 7 % 3, login.user_id.encode(), msgspec.json.encode(login)) for i, login in enumerate(logins)])
    pipeline.start()
    outs = pipeline.outputs()
    pipeline.assert_conserved(outs)
    places = {record.value: (record.partition, record.offset) for record in pipeline.fed}
    where = np.array([places[msgspec.json.encode(login)] for login in logins])
    offline = replay(domain, logins, where[:, 0].astype(np.int32), where[:, 1])
    live = {out.of: json.loads(out.value or b"")["vector"] for out in outs}
    assert [live[place] for place in map(tuple, where.tolist())] == vector_digest(offline.features)
