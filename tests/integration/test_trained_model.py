"""A trained bundle, served through real Kafka and real Redis: vectors, scores and decisions are the offline ones."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from riskstream.models.offline import Log, write_log
from riskstream.models.payment import DOMAIN
from riskstream.models.policy import DECISIONS
from riskstream.models.scorer import Scorer
from riskstream.models.training.config import Model, TrainConfig
from riskstream.models.training.examples import TrainingData
from riskstream.models.training.export import Origin
from riskstream.models.training.pipeline import Trained, train
from riskstream.schemas.payment import Payment
from riskstream.workers.cli import app
from tests.support.parity import assert_as_offline, live_and_offline
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Pipeline
from tests.support.training import relabelled, small_data

XGBOOST = Model(trees=60, parameters={"nthread": 1, "eta": 0.1})
LOGISTIC = Model(kind="logistic", parameters={"C": 0.01})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return small_data(tmp_path_factory.mktemp("data"))


def trained(data: TrainingData, model: Model, out: Path) -> Trained:
    return train(TrainConfig(model=model, bootstrap=0), data, DOMAIN, out, Origin(datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(("model", "several"), [(XGBOOST, False), (LOGISTIC, True)])
def test_live_vectors_and_scores_are_the_offline_ones_bit_for_bit(
    new_pipeline: Callable[..., Pipeline], data: TrainingData, tmp_path: Path, model: Model, several: bool
) -> None:
    made = trained(relabelled(data, "multiclass") if several else data, model, tmp_path / "bundle")
    pipeline = new_pipeline()
    pipeline.bundle = made.path
    pipeline.feed(records_of(log_of(), pipeline.partitions))
    pipeline.start()
    outs = pipeline.outputs()
    pipeline.assert_conserved(outs)
    assert_as_offline(pipeline, outs)
    live, offline = live_and_offline(pipeline, outs)
    answer = Scorer(made.bundle).answer(offline.features)
    assert [score["score"] for score in live] == answer.risk.tolist()
    decided = made.bundle.manifest.thresholds.decide(answer.risk)
    assert [score["decision"] for score in live] == [DECISIONS[code] for code in decided]
    assert {score["model"] for score in live} == {"payment-risk@1.0.0"}
    classes = made.bundle.manifest.output.classes
    rows = [None] * len(live) if answer.probabilities is None else answer.probabilities.tolist()
    expected = [row and dict(zip(classes, row, strict=True)) for row in rows]
    assert [score.get("probabilities") for score in live] == expected


def test_the_parity_command_finds_what_was_served_in_the_topic(
    new_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    pipeline = new_pipeline()
    pipeline.feed(records_of(log_of(), pipeline.partitions, malformed_share=0.0))
    pipeline.start()
    pipeline.outputs()
    events = [msgspec.json.decode(record.value or b"", type=Payment) for record in pipeline.fed]
    partitions = np.array([record.partition for record in pipeline.fed], np.int32)
    offsets = np.array([record.offset for record in pipeline.fed], np.int64)
    write_log(tmp_path / "log.parquet", Payment, [Log(events, partitions, offsets, {})])
    variables, out = pipeline.variables(), str(tmp_path / "data")
    made = CliRunner().invoke(app, ["dataset", "--events", str(tmp_path / "log.parquet"), "--out", out], env=variables)
    assert made.exit_code == 0, made.output
    told = CliRunner().invoke(app, ["parity", out, "--topic"], env=variables)
    assert told.exit_code == 0, told.output
    assert "differ=0 degraded=0 unknown=0 unscored=0" in told.output
