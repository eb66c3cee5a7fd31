"""A data set: the vectors of a replay, labels as they were known, parts that keep apart what time keeps apart."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from xxhash import xxh3_64_intdigest

from riskstream.models.dataset import tables
from riskstream.models.dataset.build import Ingredients, build
from riskstream.models.dataset.labels import DAY, NEVER, LabelTable, SplitPlan, assign, known
from riskstream.models.dataset.manifest import SPLITS, Cuts, DatasetError, Labels, read_manifest
from riskstream.models.dataset.vectors import Snapshots, users_together, vectors
from riskstream.models.offline import replay
from riskstream.models.payment import DOMAIN
from riskstream.schemas.payment import PaymentProfile
from tests.support.datasets import event_log, ingredients, simulated_dataset
from tests.unit.payment_log import payments

LOG = payments()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("datasets") / "small"
    simulated_dataset(path)
    return path


def examples(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path / "examples.parquet")


def test_vectors_are_those_of_a_replay_bit_for_bit() -> None:
    facts = event_log(LOG).facts
    profile = PaymentProfile(computed_at=LOG[100].event_time, home_country="DE", account_created_at=LOG[0].event_time)
    users = np.array([xxh3_64_intdigest(b"u-1"), xxh3_64_intdigest(b"u-2")], np.uint64)
    snapshots = Snapshots.of(users, [profile, profile])
    place = snapshots.as_of(facts.user, facts.event_time, DOMAIN.profile_max_age_ms)
    found = [profile if k >= 0 else None for k in place.tolist()]
    assert 0 < sum(p is not None for p in found) < 100
    expected = replay(DOMAIN, LOG, np.zeros(len(LOG), np.int32), np.arange(len(LOG)), found)
    measured = vectors(DOMAIN, facts, snapshots)
    assert measured.features.tobytes() == expected.features.tobytes()
    assert measured.original.tolist() == expected.original.tolist()


def test_users_are_never_cut_in_two_however_small_the_pieces() -> None:
    facts = event_log(LOG).facts
    pieces = [set(facts.user[rows].tolist()) for rows, _ in users_together(facts, 3)]
    assert len(pieces) == sum(map(len, pieces)) == 8


def test_a_profile_from_the_future_is_not_found_and_one_too_old_neither() -> None:
    users, at = np.array([7, 7, 9], np.uint64), [10 * DAY, 12 * DAY, 11 * DAY]
    snapshots = Snapshots.of(users, [PaymentProfile(computed_at=time) for time in at])
    times = np.array([10 * DAY - 1, 10 * DAY, 12 * DAY - 1, 14 * DAY, 14 * DAY + 1], np.int64)
    assert snapshots.as_of(np.full(5, 7, np.uint64), times, 2 * DAY).tolist() == [-1, 0, 0, 1, -1]
    assert snapshots.as_of(np.array([8], np.uint64), times[1:2], 2 * DAY).tolist() == [-1]


def test_rows_are_in_order_of_time_and_each_event_is_one(dataset: Path) -> None:
    frame, manifest = examples(dataset), read_manifest(dataset)
    assert frame.select("event_time", "partition", "offset").rows() == sorted(
        frame.select("event_time", "partition", "offset").rows()
    )
    assert frame["event_id"].n_unique() == len(frame) == manifest.rows
    assert manifest.repeats == 60
    assert manifest.columns == tuple(name for name in frame.columns if name.startswith("f_"))


def test_what_is_written_can_be_computed_again_from_the_facts(dataset: Path) -> None:
    facts = tables.read_facts(dataset)
    again = vectors(DOMAIN, facts, tables.read_snapshots(dataset, DOMAIN))
    frame = examples(dataset)
    at = {place: k for k, place in enumerate(zip(facts.partition.tolist(), facts.offset.tolist(), strict=True))}
    rows = [at[place] for place in frame.select("partition", "offset").rows()]
    written = frame.select(pl.col("^f_.*$")).to_numpy()
    assert again.features[rows].tobytes() == np.ascontiguousarray(written).tobytes()


CUTS = Cuts(warm_until=10 * DAY, train=50 * DAY, calibration=70 * DAY, test=95 * DAY, gap_ms=5 * DAY)


@pytest.mark.parametrize(
    ("day", "part"),
    [
        (9.9, "warm"),
        (10, "train"),
        (45, "train"),  # exactly mature at the cut
        (45.1, "gap"),
        (50, "calibration"),
        (65.1, "gap"),
        (70, "test"),
        (90, "test"),
        (90.1, "gap"),
    ],
)
def test_a_part_ends_a_maturity_before_its_cut(day: float, part: str) -> None:
    time = np.array([int(day * DAY)], np.int64)
    assert SPLITS[assign(SplitPlan(), CUTS, time, np.zeros(1, np.uint64))[0]] == part


def label_at(day: float, *labels: tuple[float, int]) -> tuple[int, float | None]:
    """Label and day of knowing of an event of `day`; `labels` are (day it became known, value)."""
    table = LabelTable.of(
        np.full(len(labels), 5, np.int64),
        np.array([int(at * DAY) for at, _ in labels], np.int64),
        np.array([value for _, value in labels], np.int16).reshape(-1, 1),
    )
    time = np.array([int(day * DAY)], np.int64)
    split = assign(SplitPlan(), CUTS, time, np.zeros(1, np.uint64))
    found = known(table, np.array([5], np.int64), time, split, CUTS)
    return int(found.values[0, 0]), None if found.since[0] == NEVER else found.since[0] / DAY


def test_a_label_counts_if_it_was_known_at_the_cut() -> None:
    assert label_at(30, (50, 1)) == (1, 50)
    assert label_at(55, (69, 1)) == (1, 69)
    assert label_at(75, (95, 1)) == (1, 95)


def test_a_label_that_came_later_is_not_used_and_the_event_passes_for_honest_as_it_did() -> None:
    assert label_at(30, (50.1, 1)) == (0, 35)
    assert label_at(55, (70.1, 1)) == (0, 60)


def test_the_newest_of_what_was_known_counts() -> None:
    assert label_at(30, (33, 1), (40, 0), (60, 1)) == (0, 40)


def test_an_event_without_a_label_is_honest_once_it_is_mature() -> None:
    assert label_at(30) == (0, 35)


def test_an_event_too_young_is_unknown_even_if_its_label_came_early() -> None:
    assert label_at(46, (47, 1)) == (-1, None)


def test_labels_in_the_files_keep_the_rule(dataset: Path) -> None:
    frame, cuts = examples(dataset), read_manifest(dataset).cuts
    for name in ("warm", "train", "calibration", "test"):
        part = frame.filter(pl.col("split") == name)
        assert (part["label_time"] <= cuts.of(name)).all()
        assert set(part["label"]) == {0, 1}
    gap = frame.filter(pl.col("split") == "gap")
    assert set(gap["label"]) == {-1}
    assert gap["label_time"].is_null().all()


def test_split_by_user_keeps_a_user_in_one_part(tmp_path: Path) -> None:
    build(DOMAIN, ingredients(), SplitPlan(by_user=True), tmp_path / "d")
    frame = examples(tmp_path / "d").filter(pl.col("split").is_in(["train", "calibration", "test"]))
    assert frame.group_by("user").agg(pl.col("split").n_unique())["split"].max() == 1
    shares = frame["split"].value_counts(normalize=True)
    assert dict(shares.iter_rows())["train"] == pytest.approx(0.6, abs=0.15)


def test_the_fingerprint_is_of_the_content_in_log_order(dataset: Path, tmp_path: Path) -> None:
    given = ingredients()
    mixed = np.random.default_rng(1).permutation(len(given.log))
    text = {name: values.take(mixed) for name, values in given.log.text.items()}
    log = type(given.log)(given.log.facts[mixed], text)
    again = build(DOMAIN, Ingredients(log, given.labels, given.table, given.snapshots), SplitPlan(), tmp_path / "d")
    assert again == read_manifest(dataset)
    assert examples(tmp_path / "d").equals(examples(dataset))
    without = Ingredients(given.log, given.labels, given.table)
    assert build(DOMAIN, without, SplitPlan(), tmp_path / "e").fingerprint != again.fingerprint


def test_multi_label_has_a_column_for_each(tmp_path: Path) -> None:
    given = ingredients()
    labels = Labels(kind="multilabel", classes=("dispute", "testing"))
    both = np.stack([given.table.values[:, 0], given.table.kind == "card_testing"], axis=1).astype(np.int16)
    table = LabelTable(given.table.event_hash, given.table.known_at, both, given.table.kind)
    build(DOMAIN, Ingredients(given.log, labels, table), SplitPlan(), tmp_path / "d")
    frame = examples(tmp_path / "d").filter(pl.col("split") == "train")
    assert frame["label_dispute"].sum() > frame["label_testing"].sum() > 0
    assert frame.schema["label_testing"] == pl.Int8


def test_an_existing_directory_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="already exists"):
        build(DOMAIN, ingredients(), SplitPlan(), tmp_path)


def test_a_log_too_short_for_its_labels_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="--maturity-days"):
        build(DOMAIN, ingredients(), SplitPlan(maturity_days=40), tmp_path / "d")
    assert not list(tmp_path.iterdir())


def test_one_place_twice_is_refused(tmp_path: Path) -> None:
    given = ingredients()
    twice = np.append(np.arange(100), 7)
    log = type(given.log)(given.log.facts[twice], {n: v.take(twice) for n, v in given.log.text.items()})
    with pytest.raises(DatasetError, match="partition"):
        build(DOMAIN, Ingredients(log, given.labels, given.table), SplitPlan(), tmp_path / "d")
