"""Files of other people's rows: fitted to the contract by a mapping, judged as a worker would, never guessed at."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from riskstream.models.dataset.fields import Translate
from riskstream.models.dataset.ingest import Ingest, Ingested, read_profiles
from riskstream.models.dataset.label_files import LabelReader
from riskstream.models.dataset.labels import DAY, LabelTable
from riskstream.models.dataset.manifest import DatasetError, read_manifest
from riskstream.models.dataset.mapping import Mapping, read_mapping
from riskstream.models.dataset.validity import Judge
from riskstream.models.payment import DOMAIN
from riskstream.models.simulation.malformed import KINDS, malformed_records
from riskstream.schemas.dead_letter import REASONS, Rejection
from riskstream.schemas.decode import Rules
from riskstream.schemas.payment import Payment
from riskstream.workers.cli import app
from tests.support.datasets import event_log
from tests.support.tiny_domain import DOMAIN as LOGINS
from tests.unit.payment_log import START, payments

LOG = payments(120)
LINES = [msgspec.json.encode(payment) for payment in LOG]
RULES = Rules(Payment)
JUDGE = Judge(Payment, RULES)


def lines_file(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def ingest(path: Path, mapping: Mapping | None = None, labels: LabelReader | None = None) -> Ingested:
    taken = Ingest(DOMAIN, RULES, mapping or Mapping(), labels)
    taken.read(path)
    return taken.finish()


def judged(value: bytes) -> Any:
    return JUDGE.judge(value)


def test_every_malformed_line_is_refused_in_the_decoders_words_and_no_other(tmp_path: Path) -> None:
    bad = [record.value or b"" for record in malformed_records(3, 4 * len(KINDS), LINES)]
    bad = [value for value in bad if b"\n" not in value and b"\r" not in value]
    mixed = [line for pair in zip(bad, LINES * 3, strict=False) for line in pair]
    found = ingest(lines_file(tmp_path / "events.jsonl", mixed))
    refused = {row: (reason, field, detail) for row, _, _, reason, field, detail in zip(*found.rejected, strict=True)}
    refused = {row.as_py(): tuple(part.as_py() for part in why) for row, why in refused.items()}
    expected = {row: judged(line) for row, line in enumerate(mixed)}
    assert refused == {row: tuple(why) for row, why in expected.items() if isinstance(why, Rejection)}
    assert len({reason for reason, _, _ in refused.values()}) >= 14
    events = [event for event in expected.values() if not isinstance(event, Rejection)]
    assert found.log.text["event_id"].to_pylist() == [event.event_id for event in events]
    same = event_log(events).facts.columns
    assert all(
        (found.log.facts.columns[name] == values).all() for name, values in same.items() if name != "card_present"
    )


TEXTS = st.sampled_from(
    ["", "a", "A", "DE", "DEU", "de", "eu r", "EUR", "5411", "541", "{x}", "é", "ÄÖ", "x" * 64, "x" * 65]
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("event_id", "user_id", "currency", "merchant_id", "mcc", "country", "channel"), TEXTS),
    **dict.fromkeys(("device_id", "ip_country", "entry_mode"), st.none() | TEXTS),
    "amount": st.sampled_from([0, -1, 1, 10**12, 10**12 + 1, 2**62]),
    "event_time": st.sampled_from([START, START // 1000, 946_684_800_000, 946_684_799_999, 4_102_444_800_001, -5]),
    "card_present": st.sampled_from([None, True, False]),
}
GOOD = msgspec.to_builtins(LOG[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(sorted(VALUES)), st.none()), min_size=1, max_size=4), st.data())
def test_columns_are_judged_as_the_decoder_judges_their_rows(names: list[dict[str, None]], data: st.DataObject) -> None:
    rows = [GOOD | {name: data.draw(VALUES[name]) for name in changed} for changed in names]
    frame = pl.DataFrame(
        rows,
        schema={name: pl.DataFrame([GOOD], strict=False).schema[name] for name in GOOD}
        | {"device_id": pl.String, "ip_country": pl.String, "entry_mode": pl.String, "card_present": pl.Boolean},
    )
    verdict = JUDGE(Translate(Payment, Mapping())(frame, pl.Series(range(len(rows))).to_numpy(), {}))
    expected = [judged(json.dumps({k: v for k, v in row.items() if v is not None}).encode()) for row in rows]
    assert verdict.rejections == {at: why for at, why in enumerate(expected) if isinstance(why, Rejection)}
    events = [event for event in expected if not isinstance(event, Rejection)]
    assert [dict(zip(verdict.fields, row, strict=True)) for row in zip(*verdict.fields.values(), strict=True)] == [
        msgspec.structs.asdict(event) for event in events
    ]


def test_a_value_of_another_type_than_its_neighbours_is_judged_as_it_is(tmp_path: Path) -> None:
    odd = [b'"12"', b"1.5", b"true", b"[1]", b"12.0", b"null", b"99999999999999999999"]
    lines = [
        msgspec.json.encode(GOOD | {"amount": 0, "event_id": f"e{k}"}).replace(b'"amount":0', b'"amount":' + value)
        for k, value in enumerate(odd)
    ]
    found = ingest(lines_file(tmp_path / "e.jsonl", [*LINES, *lines]))
    reasons = dict(zip(found.rejected["row"].to_pylist(), found.rejected["reason"].to_pylist(), strict=True))
    expected = {len(LINES) + k: judged(line) for k, line in enumerate(lines)}
    assert reasons == {row: why.reason for row, why in expected.items() if isinstance(why, Rejection)}
    assert len(reasons) == len(odd)
    assert set(reasons.values()) <= REASONS.keys()


CREDIT_CARD = """Time,V1,Amount,Class
0,-1.35,149.62,0
1,1.19,2.69,0
86400,-1.35,378.66,1
172000,0.5,not a number,0
172001,0.5,12.345,0
172002,0.5,-3,0
172792.5,0.5,0,0
"""
CREDIT_CARD_MAPPING = """
[fields]
event_id = { row = "card-" }
user_id = { constant = "all" }
event_time = { column = "Time", format = "epoch_s", origin = "2013-09-01T00:00:00Z" }
amount = { column = "Amount", unit = "major" }
currency = { constant = "EUR" }
merchant_id = { constant = "unknown" }
mcc = { constant = "0000" }
country = { constant = "BE" }
channel = { constant = "web" }
[labels]
column = "Class"
delay_days = 0
"""


def test_a_public_csv_becomes_a_data_set_without_code(tmp_path: Path) -> None:
    source = written(tmp_path / "creditcard.csv", CREDIT_CARD)
    mapping = written(tmp_path / "mapping.toml", CREDIT_CARD_MAPPING)
    arguments = ["dataset", "--events", str(source), "--mapping", str(mapping), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--warm-days", "0", "--train", "0.7"])
    assert result.exit_code == 0, result.output
    frame = pl.read_parquet(tmp_path / "out" / "examples.parquet")
    assert frame["event_id"].to_list() == ["card-0", "card-1", "card-2", "card-6"]
    assert frame["amount"].to_list() == [14962, 269, 37866, 0]
    start = int(datetime(2013, 9, 1, tzinfo=UTC).timestamp() * 1000)
    assert frame["event_time"].to_list() == [start, start + 1_000, start + 86_400_000, start + 172_792_500]
    assert frame["label"].to_list() == [0, 0, 1, 0]
    assert frame["split"].to_list() == ["train", "train", "train", "test"]
    rejected = pl.read_parquet(tmp_path / "out" / "rejected.parquet")
    assert rejected.select("row", "reason", "field").rows() == [
        (3, "wrong_type", "amount"),
        (4, "wrong_type", "amount"),
        (5, "out_of_range", "amount"),
    ]
    assert read_manifest(tmp_path / "out").mapping["fields"]["amount"]["unit"] == "major"


def test_the_mapping_that_the_documentation_shows_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "dataset.md").read_text(encoding="utf-8")
    shown = text.partition("```toml\n")[2].partition("```")[0]
    assert read_mapping(written(tmp_path / "m.toml", shown), Payment).fields["amount"].unit == "major"


def translated(column: str, field: dict[str, Any], values: list[Any], **others: list[Any]) -> tuple[list[Any], Any]:
    mapping = msgspec.convert({"fields": {column: {"column": "x", **field}}}, Mapping)
    frame = pl.DataFrame({"x": values, **others}, strict=False)
    found = Translate(Payment, mapping)(frame, pl.Series(range(len(values))).to_numpy(), {})
    return found.columns[column].to_list(), {at: odd[column] for at, odd in found.odd.items()}


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ({"format": "iso"}, "2026-01-01T00:00:00Z", 1_767_225_600_000),
        ({"format": "iso"}, "2026-01-01 01:00:00.250+01:00", 1_767_225_600_250),
        ({"format": "iso"}, "2026-01-01", 1_767_225_600_000),
        ({"format": "iso", "zone": "Europe/Berlin"}, "2026-01-01T01:00:00", 1_767_225_600_000),
        ({"format": "%d.%m.%Y %H:%M:%S", "zone": "Europe/Berlin"}, "01.07.2026 14:00:00", 1_782_907_200_000),
        ({"format": "%d.%m.%Y %H:%M:%S%z"}, "01.07.2026 14:00:00+0200", 1_782_907_200_000),
        ({"format": "epoch_s"}, "1767225600.5", 1_767_225_600_500),
        ({"format": "epoch_us"}, 1_767_225_600_000_250, 1_767_225_600_000),
        ({}, 1_767_225_600_000, 1_767_225_600_000),
        ({"format": "iso"}, datetime(2026, 1, 1), 1_767_225_600_000),
        ({"zone": "Europe/Berlin"}, datetime(2026, 7, 1, 14), 1_782_907_200_000),
    ],
)
def test_times_are_read_as_the_mapping_says(field: dict[str, Any], text: Any, expected: int) -> None:
    assert translated("event_time", field, [text]) == ([expected], {})


def test_a_time_of_another_format_is_left_for_the_contract_to_refuse() -> None:
    assert translated("event_time", {"format": "iso"}, ["yesterday", None]) == ([None, None], {0: "yesterday"})


def test_major_units_have_the_decimals_of_their_currency() -> None:
    currencies = ["EUR", "JPY", "KWD", "EUR"]
    found = translated("amount", {"unit": "major"}, [12.34, 500.0, 1.234, 0.005], currency=currencies)
    assert found == ([1234, 500, 1234, None], {3: 0.5})
    assert translated("amount", {"unit": "major", "round": True}, [12.346], currency=["EUR"]) == ([1235], {})


def test_foreign_words_become_ours_and_others_stay() -> None:
    words = {"values": {"CASH_OUT": "atm", "7": "web"}}
    assert translated("channel", words, ["CASH_OUT", "pos", "7"])[0] == ["atm", "pos", "web"]
    assert translated("mcc", {}, [5411, 5812])[0] == ["5411", "5812"]  # numbers are text where the mapping says so


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ('[fields.amount]\ncolumn = "A"\nunit = "cents"', "fields.amount", "`minor` or `major`"),
        ('[fields.amount]\ncolum = "A"', "fields.amount", "there is no key `colum`"),
        ('[fields.price]\ncolumn = "A"', "fields.price", "no such field, only event_id"),
        ('[fields.amount]\ncolumn = "A"\nconstant = 3', "fields.amount", "exactly one"),
        ('[place]\npartition = "p"', "place", "give both"),
        ('[labels]\nvalues = { 0 = "good" }', "labels", "`classes` does not"),
        ('[fields.event_time]\ncolumn = "T"\norigin = "2013-09-01T00:00:00"', "fields.event_time", "needs a zone"),
        ("[fields.amount\ncolumn = 1", "line 1", "Expected"),
    ],
)
def test_a_wrong_mapping_names_the_key_and_what_to_do(tmp_path: Path, text: str, key: str, advice: str) -> None:
    with pytest.raises(DatasetError) as error:
        read_mapping(written(tmp_path / "m.toml", text), Payment)
    assert key in str(error.value)
    assert advice in str(error.value)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    mapping = read_mapping(written(tmp_path / "m.toml", '[fields.amount]\ncolumn = "Betrag"'), Payment)
    with pytest.raises(
        DatasetError, match=r"fields.amount.column: there is no column 'Betrag', only 'Time', 'V1', 'Amount', 'Class'"
    ):
        ingest(written(tmp_path / "c.csv", CREDIT_CARD), mapping)
    with pytest.raises(DatasetError, match="the required fields event_id, user_id, event_time"):
        ingest(written(tmp_path / "c.csv", CREDIT_CARD))


def test_a_csv_row_of_the_wrong_width_or_encoding_costs_only_itself(tmp_path: Path) -> None:
    names = [name for name in GOOD if name != "card_present"]
    rows = [
        ",".join("" if (value := getattr(p, name)) is None else str(value) for name in names).encode() for p in LOG[:4]
    ]
    rows[1] += b",extra"
    rows[2] = rows[2].replace(b"m-", b"m\xff-")
    (tmp_path / "e.csv").write_bytes(b"\n".join([",".join(names).encode(), *rows]) + b"\n")
    found = ingest(tmp_path / "e.csv")
    assert found.log.text["event_id"].to_pylist() == [LOG[0].event_id, LOG[3].event_id]
    assert [(row["row"], row["reason"], row["field"]) for row in found.rejected.to_pylist()] == [
        (1, "invalid_value", ""),
        (2, "bad_encoding", "merchant_id"),
    ]


def test_without_places_events_are_numbered_by_time_where_the_contract_puts_them(tmp_path: Path) -> None:
    log = ingest(lines_file(tmp_path / "e.jsonl", LINES[::-1])).log
    facts = log.facts
    assert len(set(facts.partition.tolist())) > 1
    for partition in set(facts.partition.tolist()):
        rows = facts[facts.partition == partition]
        assert sorted(rows.offset.tolist()) == list(range(len(rows)))
        assert rows.event_time[rows.offset.argsort()].tolist() == sorted(rows.event_time.tolist())


def test_places_of_the_file_are_kept_also_for_what_is_refused(tmp_path: Path) -> None:
    rows = [{**msgspec.to_builtins(p), "partition": 3, "offset": 100 + k} for k, p in enumerate(LOG[:3])]
    rows[1]["amount"] = -1
    found = ingest(lines_file(tmp_path / "e.jsonl", [json.dumps(row).encode() for row in rows]))
    assert found.log.facts.offset.tolist() == [100, 102]
    assert found.rejected.select(["partition", "offset"]).to_pylist() == [{"partition": 3, "offset": 101}]


def labels_of(tmp_path: Path, mapping: str, rows: list[dict[str, Any]]) -> LabelTable:
    reader = LabelReader(read_mapping(written(tmp_path / "m.toml", mapping), Payment).labels)
    reader.read(lines_file(tmp_path / "labels.jsonl", [json.dumps(row).encode() for row in rows]))
    log = event_log(LOG).facts
    return reader.table(log.columns["event_hash"], log.event_time)


def test_labels_come_with_the_time_they_became_known(tmp_path: Path) -> None:
    rows = [
        {"event_id": "e-1", "label": "fraud", "known_at": START},
        {"event_id": "e-2", "label": 1, "known_at": START + 1},
        {"event_id": "e-3", "label": 0, "known_at": None},
    ]
    table = labels_of(tmp_path, "", rows[:1])
    assert (table.values.tolist(), table.known_at.tolist()) == ([[1]], [START])
    assert len(labels_of(tmp_path, "", rows[1:])) == 1  # that nothing is known is no label


def test_a_label_without_its_time_needs_a_delay_to_be_said(tmp_path: Path) -> None:
    row = {"event_id": LOG[0].event_id, "label": 1}
    with pytest.raises(DatasetError, match=r"labels.known_at: .* labels.delay_days"):
        labels_of(tmp_path, "", [row])
    table = labels_of(tmp_path, "[labels]\ndelay_days = 2", [row])
    assert table.known_at.tolist() == [LOG[0].event_time + 2 * DAY]


def test_a_label_that_is_no_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"labels.values: 'label' holds 'maybe'"):
        labels_of(tmp_path, "", [{"event_id": "e-1", "label": "maybe", "known_at": 1}])


def test_labels_of_many_classes_and_of_many_columns(tmp_path: Path) -> None:
    many = '[labels]\nclasses = ["honest", "stolen", "tested"]\nvalues = { S = "stolen" }'
    rows = [{"event_id": f"e-{k}", "label": label, "known_at": START} for k, label in enumerate(["S", "tested", "0"])]
    assert sorted(labels_of(tmp_path, many, rows).values[:, 0].tolist()) == [0, 1, 2]
    columns = '[labels]\ncolumns = ["dispute", "takeover"]'
    row = {"event_id": "e-1", "dispute": True, "takeover": False, "known_at": START}
    assert labels_of(tmp_path, columns, [row]).values.tolist() == [[1, 0]]


def test_profiles_are_read_and_a_wrong_one_is_an_error(tmp_path: Path) -> None:
    good = {"user_id": "u-1", "computed_at": START, "home_country": "DE"}
    found = read_profiles([lines_file(tmp_path / "p.jsonl", [json.dumps(good).encode()])], DOMAIN)
    assert found.profiles[0].home_country == "DE"
    with pytest.raises(DatasetError, match="home_country"):
        read_profiles([lines_file(tmp_path / "q.jsonl", [json.dumps({**good, "home_country": "d"}).encode()])], DOMAIN)


def test_a_domain_of_ones_own_is_read_by_the_same_code(tmp_path: Path) -> None:
    rows = [
        {"event_id": f"e{k}", "user_id": "u", "event_time": START + k, "failures": k, "address": "a"} for k in range(3)
    ]
    taken = Ingest(LOGINS, Rules(LOGINS.event), Mapping(), None)
    taken.read(
        lines_file(tmp_path / "e.jsonl", [json.dumps(row).encode() for row in [*rows, {**rows[0], "address": 1}]])
    )
    found = taken.finish()
    assert found.log.facts.columns["failures"].tolist() == [0, 1, 2]
    assert found.rejected["field"].to_pylist() == ["address"]


@pytest.mark.parametrize("name", ["events.xlsx", "nothing.csv"])
def test_what_cannot_be_read_ends_with_2_and_its_name(tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(app, ["dataset", "--events", str(tmp_path / name), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert name in result.output
