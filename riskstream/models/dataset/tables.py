"""The files of a data set, written and read. See manifest.py for what each holds."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from riskstream.models.dataset.event_log import SLICES
from riskstream.models.dataset.labels import NEVER, Known
from riskstream.models.dataset.manifest import EXAMPLES, FACTS, FEATURE, PROFILES, REJECTED, SPLITS, DatasetError
from riskstream.models.dataset.vectors import NO_SNAPSHOTS, Facts, Snapshots
from riskstream.models.domain import Domain
from riskstream.models.offline import CHUNK, arrow_type

if TYPE_CHECKING:
    from riskstream.models.dataset.build import Ingredients

REJECTED_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("reason", pa.string()),
        ("field", pa.string()),
        ("detail", pa.string()),
    ]
)
COMMON = ("partition", "offset", "user")


@dataclass(frozen=True)
class Examples:
    """The rows of examples.parquet, in order: positions in the log, parts, labels; and the vectors of the whole log."""

    rows: NDArray[np.int64]
    split: NDArray[np.int8]
    known: Known
    vectors: NDArray[np.float32]


@contextmanager
def draft(out: Path) -> Iterator[Path]:
    """A directory that becomes `out` when all went well, and is gone when not."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise DatasetError(f"data set {out}: {error.strerror}; choose another directory") from error
    try:
        yield path
        path.chmod(0o755)
        path.rename(out)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def write_all(path: Path, domain: Domain, given: "Ingredients", examples: Examples) -> None:
    """All files but the manifest."""
    _write(path / EXAMPLES, _example_tables(domain, given, examples))
    _write(path / FACTS, (_fact_table(given.log.facts[rows]) for rows in log_order(given.log.facts)))
    if len(given.snapshots.user):
        pq.write_table(_profile_table(domain, given.snapshots), path / PROFILES)
    pq.write_table(given.rejected, path / REJECTED)


def _write(path: Path, parts: Iterable[pa.Table]) -> None:
    parts = iter(parts)
    first = next(parts)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part)


def log_order(facts: Facts) -> Iterator[NDArray[np.int64]]:
    order = np.lexsort((facts.offset, facts.partition))
    return (order[at : at + CHUNK] for at in range(0, len(order), CHUNK))


def _example_tables(domain: Domain, given: "Ingredients", examples: Examples) -> Iterator[pa.Table]:
    facts, splits = given.log.facts, pa.array(SPLITS)
    newcomer = _new_users(facts, domain.features.spec.horizon_ms)
    for at in range(0, len(examples.rows), CHUNK):
        part = slice(at, at + CHUNK)
        rows, since = examples.rows[part], examples.known.since[part]
        columns = {
            "event_id": given.log.text["event_id"].take(rows),
            "user": facts.user[rows],
            "partition": facts.partition[rows],
            "offset": facts.offset[rows],
            "event_time": facts.event_time[rows],
            **({"amount": facts.columns["amount"][rows]} if "amount" in facts.columns else {}),
            **{name: given.log.text[name].take(rows) for name in SLICES if name in given.log.text},
            "new_user": newcomer[rows],
            **_label_columns(given, examples.known.values[part]),
            "label_time": pa.array(since, pa.int64(), mask=since == NEVER),
            "kind": pa.array(examples.known.kind[part], pa.string()).dictionary_encode(),
            "split": pa.DictionaryArray.from_arrays(examples.split[part], splits),
        }
        vectors = examples.vectors[rows]
        features = {FEATURE + name: vectors[:, k] for k, name in enumerate(domain.features.names)}
        yield pa.table(columns | {name: np.ascontiguousarray(values) for name, values in features.items()})


def _label_columns(given: "Ingredients", values: NDArray[np.int16]) -> dict[str, Any]:
    width = np.int8 if given.labels.kind == "multilabel" else np.int16
    return {name: values[:, k].astype(width) for k, name in enumerate(given.labels.columns)}


def _new_users(facts: Facts, horizon_ms: int) -> NDArray[np.bool_]:
    """Whether the user's first event of the log lies less than a horizon before the event, or is it."""
    users, position = np.unique(facts.user, return_inverse=True)
    first = np.full(len(users), np.iinfo(np.int64).max)
    np.minimum.at(first, position, facts.event_time)
    new: NDArray[np.bool_] = facts.event_time - first[position] < horizon_ms
    return new


def _fact_table(facts: Facts) -> pa.Table:
    return pa.table({"partition": facts.partition, "offset": facts.offset, "user": facts.user, **facts.columns})


def read_facts(path: Path, users: NDArray[np.uint64] | None = None) -> Facts:
    """The log of the data set `path`, in log order; of some users only, if they are given. Raises DatasetError."""
    source = path / FACTS
    try:
        with pq.ParquetFile(source) as file:
            parts = [_chosen(pa.Table.from_batches([batch]), users) for batch in file.iter_batches(CHUNK)]
            table = pa.concat_tables(parts) if parts else file.schema_arrow.empty_table()
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{source}: {error}; make the data set again with: riskstream dataset") from error
    columns = {name: table[name].to_numpy() for name in table.column_names}
    partition, offset, user = (columns.pop(name) for name in COMMON)
    return Facts(partition, offset, user, columns)


def _chosen(table: pa.Table, users: NDArray[np.uint64] | None) -> pa.Table:
    return table if users is None else table.filter(np.isin(table["user"].to_numpy(), users))


def _profile_table(domain: Domain, snapshots: Snapshots) -> pa.Table:
    fields = msgspec.structs.fields(domain.profile)
    return pa.table(
        {"user": snapshots.user}
        | {f.name: pa.array([getattr(p, f.name) for p in snapshots.profiles], arrow_type(f.type)) for f in fields}
    )


def read_snapshots(path: Path, domain: Domain) -> Snapshots:
    """The profiles of the data set `path`, none if it has none."""
    if not (path / PROFILES).exists():
        return NO_SNAPSHOTS
    table = pq.read_table(path / PROFILES)
    rows = table.drop_columns(["user"]).to_pylist()
    return Snapshots.of(table["user"].to_numpy(), msgspec.convert(rows, list[domain.profile]))  # type: ignore[name-defined]
