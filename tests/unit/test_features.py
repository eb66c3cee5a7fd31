"""The feature table: every row faces the same checks, and its meaning is pinned to its id."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from xxhash import xxh3_64_hexdigest

from riskstream.models import history
from riskstream.models.features import Feature, FeatureSet, Inputs
from riskstream.models.formulas import history as past
from riskstream.models.history import aggregate
from riskstream.models.offline import replay
from riskstream.models.payment import DOMAIN, FEATURES, HISTORY
from riskstream.schemas.digests import vector_digest
from tests.unit.oracle import Expected, histories, payment_features
from tests.unit.payment_log import payments, profiles_for

# What each feature set says of the log. A changed vector under an unchanged id means: raise the revision of what was
# changed (the row's, or history.REVISION) and add the new pair; models trained on the old id are refused from then on.
GOLDEN = {"eff391633670b23d": "ade9e22b95d3aaa0"}

LOG = payments()
PROFILES = profiles_for(LOG)
PLACES = (np.zeros(len(LOG), np.int32), np.arange(len(LOG)))
VECTORS = replay(DOMAIN, LOG, *PLACES, PROFILES).features
ROWS = pytest.mark.parametrize("row", FEATURES.rows, ids=lambda row: row.name)


def inputs(known: bool = True) -> Inputs:
    columns = DOMAIN.columns(LOG)
    facts = DOMAIN.facts(columns, PLACES[1])
    values = aggregate(HISTORY, facts, np.zeros(len(facts), np.int64), PLACES[1]).values  # as if of one user
    found = PROFILES if known else [None] * len(LOG)
    past = dict(zip(HISTORY.columns, values.T, strict=True))
    return Inputs(columns, past, DOMAIN.profiles(found))


def computed(row: Feature, x: Inputs) -> NDArray[np.float32]:
    """What the feature is of each event, alone in a table."""
    aggregates = np.column_stack([x.history[name] for name in HISTORY.columns])
    return FeatureSet((row,), HISTORY).assemble(x.event, aggregates, x.profile)[:, 0]


class Noted(Mapping[str, NDArray[Any]]):
    """Columns that note whether they were read."""

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self.columns, self.read = columns, False

    def __getitem__(self, name: str) -> NDArray[Any]:
        self.read = True
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


@ROWS
def test_a_feature_is_documented(row: Feature) -> None:
    assert row.name.isidentifier()
    assert row.name.islower()
    assert len(row.description) > 10
    assert not row.description.endswith(".")
    assert row.unit
    assert row.revision >= 1


@ROWS
def test_a_feature_is_deterministic_and_leaves_its_inputs_alone(row: Feature) -> None:
    x, untouched = inputs(), inputs()
    assert computed(row, x).tobytes() == computed(row, x).tobytes()
    for after, before in ((x.event, untouched.event), (x.history, untouched.history), (x.profile, untouched.profile)):
        assert all(after[name].tobytes() == values.tobytes() for name, values in before.items())


@ROWS
def test_a_feature_is_a_number_that_float32_holds_or_missing(row: Feature) -> None:
    values = computed(row, inputs())
    known = values[~np.isnan(values)]
    assert np.isfinite(known).all()
    assert len(np.unique(values)) > 1, "the log should move every feature"


@ROWS
def test_a_feature_looks_at_one_event_at_a_time(row: Feature) -> None:
    x, order = inputs(), np.random.default_rng(5).permutation(len(LOG))
    shuffled = Inputs(*({name: values[order] for name, values in c.items()} for c in (x.event, x.history, x.profile)))
    assert computed(row, shuffled).tobytes() == computed(row, x)[order].tobytes()


@ROWS
def test_a_feature_of_a_profile_is_missing_without_one(row: Feature) -> None:
    x = inputs(known=False)
    profile = Noted(x.profile)
    values = computed(row, Inputs(x.event, x.history, profile))
    assert not profile.read or np.isnan(values).all()


def test_the_features_agree_with_the_oracle() -> None:
    facts = DOMAIN.facts(DOMAIN.columns(LOG), PLACES[1]).tolist()
    past: dict[int, Expected] = {}
    for user in {payment.user_id for payment in LOG}:
        mine = [k for k, payment in enumerate(LOG) if payment.user_id == user]
        past |= zip(mine, histories(HISTORY, [facts[k] for k in mine]), strict=True)
    for k, payment in enumerate(LOG):
        expected = payment_features(payment, past[k].columns, PROFILES[k])
        assert set(expected) == set(FEATURES.names)
        row = np.array([expected[name] for name in FEATURES.names])
        np.testing.assert_allclose(VECTORS[k], row, rtol=1e-7, atol=1e-12, err_msg=payment.event_id)


def test_a_changed_vector_has_a_new_feature_set_id() -> None:
    vectors = xxh3_64_hexdigest("".join(vector_digest(VECTORS)).encode())
    assert FEATURES.id in GOLDEN, f"a new feature set: add {FEATURES.id!r}: {vectors!r} to GOLDEN"
    assert vectors == GOLDEN[FEATURES.id], "vectors changed under the same id: raise a revision"


TINY = FeatureSet((Feature("spent_1h", "spent in an hour", "cents", 1, past("sum_1h")),), HISTORY)
DOUBLED = replace(TINY.rows[0], compute=lambda x: x.history["sum_1h"] * 2)


@pytest.mark.parametrize(
    "other",
    [
        FeatureSet((replace(TINY.rows[0], revision=2),), HISTORY),
        FeatureSet((replace(TINY.rows[0], name="spent"),), HISTORY),
        FeatureSet((TINY.rows[0], replace(TINY.rows[0], name="spent")), HISTORY),
        FeatureSet((replace(TINY.rows[0], compute=past("sum_24h")),), HISTORY),
        FeatureSet(TINY.rows, replace(HISTORY, capacity=511)),
        FeatureSet(TINY.rows, replace(HISTORY, horizon_ms=HISTORY.horizon_ms + 1)),
        FeatureSet(TINY.rows, replace(HISTORY, windows=(("1h", 3_600_001), *HISTORY.windows[1:]))),
        FeatureSet(TINY.rows, replace(HISTORY, value=4)),
        FeatureSet(TINY.rows, replace(HISTORY, distinct=HISTORY.distinct[:2])),
        FeatureSet(TINY.rows, replace(HISTORY, distinct_windows=("30d",))),
    ],
)
def test_another_meaning_has_another_id(other: FeatureSet) -> None:
    assert other.id != TINY.id
    assert len(other.id) == 16


def test_another_revision_of_the_history_has_another_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "REVISION", history.REVISION + 1)
    assert FeatureSet(TINY.rows, HISTORY).id != TINY.id


def test_words_for_people_are_not_part_of_the_meaning() -> None:
    assert FeatureSet((replace(TINY.rows[0], description="said otherwise"),), HISTORY).id == TINY.id


def test_vectors_lie_in_memory_as_the_model_takes_them() -> None:
    assert VECTORS.dtype == np.float32
    assert VECTORS.flags.c_contiguous
    assert VECTORS.shape == (len(LOG), len(FEATURES.names))


def test_what_is_missing_has_one_bit_pattern() -> None:
    odd = np.array([0xFFF8_0000_0000_0001, 0x7FF8_0000_0000_0000, 0x7FF8_DEAD_0000_0000], np.uint64).view(np.float64)
    aggregates = np.repeat(odd[:, None], len(HISTORY.columns), axis=1)
    doubled = replace(DOUBLED, name="doubled")
    digests = vector_digest(FeatureSet((*TINY.rows, doubled), HISTORY).assemble({}, aggregates, {}))
    assert len(set(digests)) == 1


def test_another_number_of_history_columns_is_a_bug() -> None:
    with pytest.raises(ValueError, match="27 history columns, not 28"):
        TINY.assemble({}, np.zeros((2, 27)), {})


def test_no_events_make_no_vectors() -> None:
    columns = DOMAIN.columns([])
    none = np.empty((0, len(HISTORY.columns)))
    assert FEATURES.assemble(columns, none, DOMAIN.profiles([])).shape == (
        0,
        len(FEATURES.names),
    )
    assert vector_digest(np.empty((0, 3), np.float32)) == []


def test_a_digest_names_a_vector_alone() -> None:
    assert vector_digest(VECTORS[5:6]) == vector_digest(VECTORS)[5:6]
    assert vector_digest(VECTORS[::-1]) == vector_digest(VECTORS)[::-1]
    assert vector_digest(np.array([[1, 2]], np.float32)) == [xxh3_64_hexdigest(b"\0\0\x80\x3f\0\0\0\x40")]


@pytest.mark.parametrize("width", [0, 1, 4, 5, 32, 33, 46, 60, 61, 200])
def test_a_digest_is_the_librarys_hash_however_many_features_there_are(width: int) -> None:
    vectors = np.random.default_rng(width).normal(size=(20, width)).astype(np.float32)
    assert vector_digest(vectors) == [xxh3_64_hexdigest(vector.tobytes()) for vector in vectors]
    assert vector_digest(vectors[:, ::2]) == [xxh3_64_hexdigest(vector[::2].tobytes()) for vector in vectors]


def test_a_table_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        FeatureSet((*TINY.rows, *TINY.rows), HISTORY)
    with pytest.raises(ValueError, match="sum_1y"):
        FeatureSet((replace(TINY.rows[0], compute=past("sum_1y")),), HISTORY)
