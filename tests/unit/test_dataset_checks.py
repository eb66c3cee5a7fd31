"""A good data set passes; each leak planted on purpose turns the check that is there for it red."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from riskstream.models.bundle import Reference
from riskstream.models.dataset.build import build
from riskstream.models.dataset.checks.finding import Finding, Subject
from riskstream.models.dataset.checks.page import page
from riskstream.models.dataset.checks.run import CHECKS, overall, run
from riskstream.models.dataset.labels import DAY, SplitPlan, known
from riskstream.models.dataset.manifest import SPLITS, DatasetError, write_manifest
from riskstream.models.domain import Domain
from riskstream.models.features import Feature, FeatureSet, Inputs
from riskstream.models.payment import DOMAIN
from riskstream.models.simulation import SimulationConfig
from riskstream.models.training.evidence import edges_of, histogram
from riskstream.workers.cli import app
from tests.support.datasets import ingredients

CONFIG = SimulationConfig(seed=3, users=200, events=12_000, days=100, fraud_share=0.1, repeat_share=0.01)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checked") / "good"
    build(DOMAIN, ingredients(CONFIG), SplitPlan(), path)
    return path


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "copy"))


def edit(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    changed = change(pl.read_parquet(path / "examples.parquet"))
    changed.write_parquet(path / "examples.parquet")
    return path


def examined(path: Path, domain: Domain = DOMAIN, reference: Reference | None = None) -> dict[str, Finding]:
    return {check.name: finding for check, finding in run(Subject(path, domain, reference, sample=60))}


def red(path: Path, domain: Domain = DOMAIN) -> set[str]:
    return {name for name, finding in examined(path, domain).items() if finding.verdict == "fail"}


def test_a_good_data_set_passes_every_check(good: Path) -> None:
    found = examined(good)
    assert {name for name, finding in found.items() if finding.verdict == "fail"} == set()
    assert list(found) == [check.name for check in CHECKS]
    assert all(finding.said for finding in found.values())


def test_a_label_used_before_it_was_known_is_seen(copy: Path) -> None:
    """As if the rule of `known` took the latest word on every event."""
    given = ingredients(CONFIG)

    def latest(frame: pl.DataFrame) -> pl.DataFrame:
        cuts = Subject(copy, DOMAIN).manifest.cuts
        facts = given.log.facts
        hashes = pl.DataFrame({"offset": facts.offset, "event_hash": facts.columns["event_hash"]})
        event = frame.join(hashes, on="offset", maintain_order="left")["event_hash"].to_numpy()
        split = np.array([SPLITS.index(name) for name in frame["split"].to_list()], np.int8)
        everything = msgspec.structs.replace(cuts, train=cuts.test, calibration=cuts.test)
        seen = known(given.table, event, frame["event_time"].to_numpy(), split, everything)
        since = pl.Series(seen.since).replace(np.iinfo(np.int64).min, None)
        return frame.with_columns(pl.Series("label", seen.values[:, 0]), since.alias("label_time"))

    assert red(edit(copy, latest)) == {"labels known in time"}


def test_a_label_in_the_gap_is_seen(copy: Path) -> None:
    in_gap = (pl.col("split") == "gap") & (pl.col("offset") % 7 == 0)
    label = pl.when(in_gap).then(pl.lit(1, pl.Int16)).otherwise(pl.col("label")).alias("label")
    assert red(edit(copy, lambda frame: frame.with_columns(label))) == {"labels known in time"}


def test_a_window_that_includes_the_future_is_seen(copy: Path) -> None:
    def centred(frame: pl.DataFrame) -> pl.DataFrame:
        time, user = frame["event_time"].to_numpy(), frame["user"].to_numpy()
        near = [np.sum((user == u) & (np.abs(time - t) < DAY)) for t, u in zip(time.tolist(), user, strict=True)]
        return frame.with_columns(pl.Series("f_count_24h", near, pl.Float32))

    found = examined(edit(copy, centred))
    assert found["features made again"].verdict == "fail"
    assert [row[0] for row in found["features made again"].rows] == ["count_24h"]
    assert found["features made again"].said == "count_24h is not what the facts before the event say"


def leaky(compute: Callable[[Inputs], np.ndarray]) -> Domain:
    rows = (*DOMAIN.features.rows, Feature("leak", "looks at other rows", "minor units", 1, compute))
    return dataclasses.replace(DOMAIN, features=FeatureSet(rows, DOMAIN.features.spec))


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: np.roll(x.event["amount"], -1),  # the user's next amount
        lambda x: x.event["amount"] / x.event["amount"].mean(),  # a mean over all that is in the table
    ],
    ids=["the next row", "a mean over all rows"],
)
def test_a_feature_function_that_sees_the_future_is_seen(
    tmp_path: Path, compute: Callable[[Inputs], np.ndarray]
) -> None:
    domain = leaky(compute)
    build(domain, ingredients(CONFIG, domain), SplitPlan(), tmp_path / "d")
    found = examined(tmp_path / "d", domain)["another future"]
    assert found.verdict == "fail"
    assert [row[0] for row in found.rows] == ["leak"]
    assert found.said == "leak is not the same with another future"


def test_a_column_derived_from_the_label_is_seen(copy: Path) -> None:
    noise = pl.Series(np.random.default_rng(1).normal(0, 0.2, pl.read_parquet(copy / "examples.parquet").height))
    derived = (pl.col("label") + noise).cast(pl.Float32).alias("f_amount_over_mean")
    found = examined(edit(copy, lambda frame: frame.with_columns(derived)))
    assert found["too good features"].verdict == "fail"
    assert found["too good features"].rows[0][0] == "amount_over_mean"


def test_a_column_filled_in_when_the_label_came_is_seen(copy: Path) -> None:
    late = pl.when(pl.col("label") == 1).then(pl.lit(1.0)).otherwise(pl.lit(float("nan"))).cast(pl.Float32)
    found = examined(edit(copy, lambda frame: frame.with_columns(late.alias("f_chargebacks_365d"))))
    assert found["known only afterwards"].verdict == "fail"


def test_the_same_event_in_train_and_test_is_seen(copy: Path) -> None:
    def again(frame: pl.DataFrame) -> pl.DataFrame:
        rows = frame.filter(pl.col("split") == "train").tail(5)
        return pl.concat([frame, rows.with_columns(pl.lit("test").cast(frame.schema["split"]).alias("split"))])

    assert {"parts kept apart", "order and repeats"} <= red(edit(copy, again))


def test_a_train_row_from_the_time_of_the_test_is_seen(copy: Path) -> None:
    moved = pl.when(pl.col("split") == "test").then(pl.lit("train")).otherwise(pl.col("split").cast(pl.String))
    assert "parts kept apart" in red(edit(copy, lambda frame: frame.with_columns(moved.alias("split"))))


def test_a_user_in_two_parts_is_seen_where_users_are_split(tmp_path: Path) -> None:
    build(DOMAIN, ingredients(CONFIG), SplitPlan(by_user=True), tmp_path / "d")
    assert red(tmp_path / "d") == set()
    flip = (pl.col("split") == "train") & (pl.col("offset") % 50 == 0)
    moved = pl.when(flip).then(pl.lit("test")).otherwise(pl.col("split").cast(pl.String)).alias("split")
    assert red(edit(tmp_path / "d", lambda frame: frame.with_columns(moved))) == {"parts kept apart"}


def test_a_value_outside_its_bounds_or_a_lost_column_is_seen(copy: Path) -> None:
    hour = pl.when(pl.col("offset") == 50).then(pl.lit(24.0, pl.Float32)).otherwise(pl.col("f_hour")).alias("f_hour")
    (row,) = examined(edit(copy, lambda frame: frame.with_columns(hour)))["columns and bounds"].rows
    assert row[:3] == ("f_hour", "within 0-23", 1)
    endless = pl.lit(float("inf"), pl.Float32).alias("f_since_last")
    assert "columns and bounds" in red(edit(copy, lambda frame: frame.with_columns(endless)))
    assert red(edit(copy, lambda frame: frame.drop("f_hour", "label_time"))) == {"columns and bounds"}


def test_rows_out_of_order_are_seen(copy: Path) -> None:
    assert red(edit(copy, lambda frame: frame.reverse())) == {"order and repeats"}


def test_labels_from_before_their_events_are_seen(copy: Path) -> None:
    early = (pl.col("event_time") - 1).alias("label_time")
    assert "label delay" in red(edit(copy, lambda frame: frame.with_columns(early)))


def test_a_class_without_examples_is_seen(copy: Path) -> None:
    none = pl.when(pl.col("label") == 1).then(pl.lit(0, pl.Int16)).otherwise(pl.col("label")).alias("label")
    assert "classes" in red(edit(copy, lambda frame: frame.with_columns(none)))


def test_a_missing_rate_that_moves_is_a_warning(copy: Path) -> None:
    lost = pl.when(pl.col("split") == "test").then(pl.lit(float("nan"))).otherwise(pl.col("f_abroad"))
    found = examined(edit(copy, lambda frame: frame.with_columns(lost.cast(pl.Float32).alias("f_abroad"))))
    assert found["missing values"].verdict == "warn"
    assert found["missing values"].rows[0][0] == "abroad"


def reference_of(path: Path) -> Reference:
    frame = pl.read_parquet(path / "examples.parquet").filter(pl.col("split") != "warm")
    columns = {name: frame["f_" + name].to_numpy() for name in DOMAIN.features.names}
    features = {name: histogram(values, edges_of(values)) for name, values in columns.items()}
    return Reference(rows=len(frame), features=features, score=features["hour"], decisions={})


def test_what_moved_since_the_reference_is_seen_and_chance_is_not(copy: Path) -> None:
    reference = reference_of(copy)
    assert examined(copy, reference=reference)["against the reference"].verdict == "pass"
    edit(copy, lambda frame: frame.with_columns((pl.col("f_amount_log") * 2).alias("f_amount_log")))
    found = examined(copy, reference=reference)["against the reference"]
    assert found.verdict == "fail"
    assert found.rows[0][0] == "amount_log"


def test_few_rows_condemn_nothing(copy: Path) -> None:
    reference = reference_of(copy)
    few = edit(copy, lambda frame: frame.filter(pl.col("split") != "warm").sample(60, seed=1))
    assert examined(few, reference=reference)["against the reference"].verdict == "pass"


def test_another_feature_table_is_told(good: Path) -> None:
    assert {"features made again", "another future"} <= red(good, leaky(lambda x: x.event["amount"]))


def test_the_page_shows_every_check_and_needs_nothing_else(good: Path, copy: Path) -> None:
    subject = Subject(copy, DOMAIN, sample=20)
    write_manifest(copy, msgspec.structs.replace(subject.manifest, created_by="<script>alert(1)</script>"))
    results = list(run(Subject(copy, DOMAIN, sample=20)))
    text = page("copy", Subject(copy, DOMAIN).manifest, results)
    assert all(check.name in text for check, _ in results)
    assert "<script" not in text
    assert "http" not in text
    assert overall(results) != "fail"


def test_the_command_writes_the_page_and_ends_with_1_on_red(copy: Path, tmp_path: Path) -> None:
    arguments = ["check", str(copy), "--sample", "20", "--out", str(tmp_path / "page.html")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "fail=0" in result.output
    edit(copy, lambda frame: frame.reverse())
    assert CliRunner().invoke(app, arguments).exit_code == 1
    assert "fail" in (tmp_path / "page.html").read_text()


def test_what_is_no_data_set_ends_with_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 2
    assert "dataset.json" in result.output
    with pytest.raises(DatasetError, match="riskstream dataset"):
        Subject(tmp_path, DOMAIN)
