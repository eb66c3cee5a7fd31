"""The table of metrics becomes what Prometheus reads."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from riskstream.workers.metrics import AT_ONCE, Metrics, Row, table


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def page(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


@pytest.mark.parametrize("name", table())
def test_every_row_is_an_attribute_and_on_the_page_under_its_name(metrics: Metrics, name: str) -> None:
    metrics.model_info.info({"name": "m"})
    assert hasattr(metrics, name)
    assert f"# TYPE riskstream_{name} " in page(metrics)


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, (_, row) in table().items()])
def test_every_row_is_explained(name: str, row: Row) -> None:
    assert row.help[0].isupper()
    assert not row.help.endswith(".")


def test_known_labels_begin_at_zero(metrics: Metrics) -> None:
    assert 'riskstream_scores_total{decision="decline"} 0.0' in page(metrics)
    assert 'riskstream_stage_seconds_count{stage="commit"} 0.0' in page(metrics)


def test_a_label_counts_for_itself(metrics: Metrics) -> None:
    metrics.dead_letters_total["json"].inc(2)
    assert 'riskstream_dead_letters_total{reason="json"} 2.0' in page(metrics)


def test_a_forgotten_partition_is_gone(metrics: Metrics) -> None:
    metrics.applied_lag_events[3].set(7)
    metrics.applied_lag_events.forget(3)
    metrics.applied_lag_events.forget(4)
    assert 'partition="3"' not in page(metrics)


def test_a_batch_of_ages_is_observed_at_once(metrics: Metrics) -> None:
    metrics.event_age_seconds.observe_all([0.001, 0.0015, 400.0])
    text = page(metrics)
    assert 'riskstream_event_age_seconds_bucket{le="0.001"} 1.0' in text
    assert 'riskstream_event_age_seconds_bucket{le="0.002"} 2.0' in text
    assert 'riskstream_event_age_seconds_bucket{le="+Inf"} 3.0' in text
    assert "riskstream_event_age_seconds_sum 400.0025" in text


def test_single_values_wait_for_a_reader_but_not_for_ever(metrics: Metrics) -> None:
    for _ in range(2 * AT_ONCE + 1):
        metrics.stage_seconds["join"].observe(0.5)
    text = page(metrics)
    assert f'riskstream_stage_seconds_bucket{{le="0.5",stage="join"}} {2 * AT_ONCE + 1}.0' in text
    assert f'riskstream_stage_seconds_sum{{stage="join"}} {AT_ONCE + 0.5}' in text
    assert 'riskstream_stage_seconds_count{stage="decode"} 0.0' in text


def test_a_histogram_of_a_label_value_is_forgotten_like_any_other(metrics: Metrics) -> None:
    metrics.stage_seconds.forget("commit")
    assert 'stage="commit"' not in page(metrics)


def test_what_was_put_off_is_done_before_the_metrics_are_read(metrics: Metrics) -> None:
    metrics.before_reading(metrics.events_total.inc)
    assert "riskstream_events_total 1.0" in page(metrics)
    assert "riskstream_events_total 2.0" in page(metrics)


def test_two_sets_of_metrics_do_not_meet(metrics: Metrics) -> None:
    other = Metrics(CollectorRegistry())
    other.events_total.inc()
    assert "riskstream_events_total 0.0" in page(metrics)
