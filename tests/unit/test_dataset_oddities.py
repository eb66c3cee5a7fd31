"""Files as they come in life: other separators, marks, types and gaps. Read as meant, or refused by name and reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from riskstream.models.dataset.manifest import read_manifest
from riskstream.workers.cli import app

START, DAY = 1_788_220_800_000, 86_400_000
EVENTS = pl.DataFrame(
    {
        "event_id": [f"e-{k}" for k in range(200)],
        "user_id": [f"u-{k % 7}" for k in range(200)],
        "event_time": [START + k * DAY // 4 for k in range(200)],
        "amount": [1_000 + k for k in range(200)],
        "currency": ["EUR"] * 200,
        "merchant_id": [f"m-{k % 5}" for k in range(200)],
        "mcc": ["5411"] * 200,
        "country": ["DE"] * 200,
        "channel": ["web"] * 200,
    }
)
LABELS = [{"event_id": f"e-{k}", "label": 1, "known_at": START + k * DAY // 4 + DAY} for k in range(0, 200, 9)]
Write = Callable[[Path], None]


def dataset(folder: Path, *more: str | Path, events: Path, labels: list[dict[str, Any]] = LABELS) -> Result:
    known = folder / "labels.jsonl"
    known.write_text("".join(json.dumps(label) + "\n" for label in labels))
    command = ["dataset", "--events", events, "--labels", known, "--out", folder / "out", *more]
    return CliRunner().invoke(app, list(map(str, command)), env={"COLUMNS": "250"})


def mapping(folder: Path, text: str) -> Path:
    (folder / "mapping.toml").write_text(text)
    return folder / "mapping.toml"


@pytest.fixture(scope="module")
def fingerprint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("plain")
    EVENTS.write_parquet(folder / "e.parquet")
    assert dataset(folder, events=folder / "e.parquet").exit_code == 0
    return read_manifest(folder / "out").fingerprint


def as_time(unit: Any, zone: str | None) -> pl.DataFrame:
    moments = pl.from_epoch("event_time", "ms").cast(pl.Datetime(unit)).dt.replace_time_zone("UTC")
    local = moments.dt.convert_time_zone(zone) if zone else moments.dt.replace_time_zone(None)
    return EVENTS.with_columns(local)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("semicolons.csv", lambda path: EVENTS.write_csv(path, separator=";")),
        ("tabs.csv", lambda path: EVENTS.write_csv(path, separator="\t")),
        ("bars.csv", lambda path: EVENTS.write_csv(path, separator="|")),
        ("quotes.csv", lambda path: EVENTS.write_csv(path, quote_style="always")),
        ("mark.csv", lambda path: EVENTS.write_csv(path, include_bom=True)),
        ("windows.csv", lambda path: EVENTS.write_csv(path, line_terminator="\r\n")),
        ("shuffled.parquet", lambda path: EVENTS.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(path)),
        ("micros.parquet", lambda path: as_time("us", None).write_parquet(path)),
        ("nanos.parquet", lambda path: as_time("ns", "America/New_York").write_parquet(path)),
        ("decimals.parquet", lambda path: EVENTS.cast({"amount": pl.Decimal(18, 2)}).write_parquet(path)),
        ("floats.parquet", lambda path: EVENTS.cast({"amount": pl.Float64}).write_parquet(path)),
    ],
)
def test_the_same_events_are_the_same_however_they_are_written(
    tmp_path: Path, fingerprint: str, name: str, write: Write
) -> None:
    write(tmp_path / name)
    told = dataset(tmp_path, events=tmp_path / name)
    assert told.exit_code == 0, told.output
    assert read_manifest(tmp_path / "out").fingerprint == fingerprint


def test_decimals_of_the_major_unit_are_never_cut_off(tmp_path: Path, fingerprint: str) -> None:
    major = EVENTS.with_columns(pl.col("amount").cast(pl.Decimal(18, 2)) / 100)
    major.write_parquet(tmp_path / "e.parquet")
    assert dataset(tmp_path, events=tmp_path / "e.parquet").exit_code == 0
    rejected = pl.read_parquet(tmp_path / "out" / "rejected.parquet")
    assert set(rejected.select("reason", "field").rows()) == {("wrong_type", "amount")}
    assert len(rejected) == 198  # 10.00 and 11.00 are whole
    (tmp_path / "out").rename(tmp_path / "first")
    rule = mapping(tmp_path, '[fields.amount]\ncolumn = "amount"\nunit = "major"')
    assert dataset(tmp_path, "--mapping", rule, events=tmp_path / "e.parquet").exit_code == 0
    assert read_manifest(tmp_path / "out").fingerprint == fingerprint


def twice(path: Path) -> None:
    table = EVENTS.to_arrow()
    pq.write_table(pa.table([*table.columns, table["amount"]], names=[*table.column_names, "amount"]), path)


def wide(path: Path) -> None:
    table = EVENTS.to_arrow()
    pq.write_table(table.set_column(3, "amount", table["amount"].cast(pa.decimal256(40, 3))), path)


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("e.jsonl", lambda path: path.write_bytes(b""), "no good event, 0 rows were rejected"),
        ("e.csv", lambda path: path.write_bytes(b""), "has no header"),
        ("e.parquet", lambda path: path.write_bytes(b""), "0 bytes"),
        ("e.csv", lambda path: EVENTS.head(0).write_csv(path), "no good event"),
        (
            "e.csv",
            lambda path: path.write_text(EVENTS.write_csv().replace("mcc", "amount", 1)),
            "'amount' is there more",
        ),
        ("e.parquet", twice, "'amount' is there more than once"),
        ("e.parquet", wide, "column 'amount' is decimal256(40, 3)"),
        ("e.csv", lambda path: EVENTS.drop("currency").write_csv(path), "the required fields currency have no column"),
        ("e.jsonl", lambda path: EVENTS.drop("currency").write_ndjson(path), "currency: missing_field in 200 rows"),
        ("e.parquet", lambda path: EVENTS.with_columns(-pl.col("amount")).write_parquet(path), "amount: out_of_range"),
        (
            "e.parquet",
            lambda path: EVENTS.with_columns(pl.col("event_time") // 1000).write_parquet(path),
            "event_time: wrong_time_unit in 200 rows",
        ),
        (
            "e.parquet",
            lambda path: EVENTS.with_columns(partition=pl.lit(2**40), offset=pl.int_range(200)).write_parquet(path),
            "place: partition and offset must be whole numbers",
        ),
    ],
)
def test_a_source_without_any_event_says_which_field_and_why(
    tmp_path: Path, name: str, write: Write, said: str
) -> None:
    write(tmp_path / name)
    told = dataset(tmp_path, events=tmp_path / name)
    assert told.exit_code == 2
    assert said in told.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[fields.event_time]\ncolumn = "event_time"\nformat = "epoch"', "fields.event_time: `format` is epoch_s"),
        ('[fields.event_time]\ncolumn = "day"\nformat = "iso"\nzone = "Mars"', "zone: there is no 'Mars'"),
        ('[labels]\nclasses = ["one"]', "labels: `classes` must be two or more"),
        ('[labels]\nclasses = ["a", "a"]', "labels: `classes` must be two or more"),
        ("[labels]\ndelay_days = nan", "labels.delay_days: expected"),
        ("[place]\npartitions = 0", "place.partitions: expected"),
    ],
)
def test_a_mapping_that_means_nothing_is_refused_by_its_key(tmp_path: Path, text: str, said: str) -> None:
    EVENTS.with_columns(day=pl.lit("2026-09-01")).write_csv(tmp_path / "e.csv")
    told = dataset(tmp_path, "--mapping", mapping(tmp_path, text), events=tmp_path / "e.csv")
    assert told.exit_code == 2
    assert said in told.output


def test_a_label_between_two_classes_is_none_of_them(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "e.parquet")
    told = dataset(tmp_path, events=tmp_path / "e.parquet", labels=[{**label, "label": 0.5} for label in LABELS])
    assert told.exit_code == 2
    assert "'label' holds '0.5'" in told.output


def test_labels_of_no_event_are_told(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "e.parquet")
    strange = [{**label, "event_id": f"tx-{label['event_id']}"} for label in LABELS]
    assert f"{len(LABELS)} are of no event" in dataset(tmp_path, events=tmp_path / "e.parquet", labels=strange).output


def test_labels_from_before_their_events_make_a_data_set_that_fails_its_check(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "e.parquet")
    early = [{**label, "known_at": START - DAY} for label in LABELS]
    assert dataset(tmp_path, events=tmp_path / "e.parquet", labels=early).exit_code == 0
    told = CliRunner().invoke(app, ["check", str(tmp_path / "out")], env={"COLUMNS": "250"})
    assert told.exit_code == 1
    assert f"{len(LABELS)} labels were known before their event" in told.output


def test_profiles_may_be_csv_and_belong_to_somebody(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "e.parquet")
    profiles = pl.DataFrame({"user_id": ["u-0", None], "computed_at": [START - DAY] * 2, "home_country": ["DE"] * 2})
    profiles.head(1).write_csv(tmp_path / "p.csv")
    assert dataset(tmp_path, "--profiles", tmp_path / "p.csv", events=tmp_path / "e.parquet").exit_code == 0
    profiles.write_csv(tmp_path / "bad.csv")
    told = dataset(tmp_path, "--profiles", tmp_path / "bad.csv", "--out", tmp_path / "b", events=tmp_path / "e.parquet")
    assert told.exit_code == 2
    assert "user_id: a profile has none" in told.output


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda frame: frame.drop("user"), "user: the column is missing"),
        (lambda frame: frame.drop("f_hour"), "f_hour: the column is missing"),
        (lambda frame: frame.with_columns(f_hour=pl.lit("x")), "f_hour: holds no numbers"),
        (lambda frame: frame.head(0), "examples.parquet: holds no rows"),
    ],
)
def test_examples_that_were_touched_are_red_by_name_and_cannot_be_trained_on(
    tmp_path: Path, spoil: Callable[[pl.DataFrame], pl.DataFrame], said: str
) -> None:
    EVENTS.write_parquet(tmp_path / "e.parquet")
    dataset(tmp_path, events=tmp_path / "e.parquet")
    examples = tmp_path / "out" / "examples.parquet"
    spoil(pl.read_parquet(examples)).write_parquet(examples)
    told = CliRunner().invoke(app, ["check", str(tmp_path / "out")], env={"COLUMNS": "250"})
    assert told.exit_code == 1
    assert said in told.output
    (tmp_path / "t.toml").write_text('data = "out"')
    told = CliRunner().invoke(app, ["train", str(tmp_path / "t.toml"), "--out", str(tmp_path / "bundle")])
    assert told.exit_code == 2
    assert "data set" in told.output


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "e.parquet")
    dataset(tmp_path, events=tmp_path / "e.parquet")
    told = CliRunner().invoke(app, ["check", str(tmp_path / "out"), "--out", str(tmp_path / "no" / "page.html")])
    assert told.exit_code == 2
    assert "page.html: No such file" in told.output.replace("\n", "")
