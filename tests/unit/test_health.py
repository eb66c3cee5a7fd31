"""The probes say what is, and why not."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from riskstream.workers.health import HealthServer, Status
from riskstream.workers.settings_sources import SettingsError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def status(clock: Clock) -> Status:
    return Status(stuck_after_s=10, clock=clock)


@pytest.fixture
def server(status: Status) -> Iterator[HealthServer]:
    registry = CollectorRegistry()
    Counter("seen", "help", registry=registry).inc(3)
    with HealthServer(
        ("127.0.0.1", 0), registry, status.why_not_live, status.why_not_ready, details=status.details
    ) as server:
        yield server


def get(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


def test_metrics_are_the_registry(server: HealthServer) -> None:
    code, text = get(server, "/metrics")
    assert code == 200
    assert "seen_total 3.0" in text


def test_a_loop_that_goes_round_is_live(server: HealthServer, status: Status, clock: Clock) -> None:
    clock.now = 100
    status.progress()
    clock.now = 110
    assert get(server, "/livez")[0] == 200


def test_a_silent_loop_is_not_live(server: HealthServer, clock: Clock) -> None:
    clock.now = 11
    code, text = get(server, "/livez")
    assert (code, json.loads(text)["reasons"]) == (503, ["no progress for 11 s"])


def test_a_new_worker_says_what_it_waits_for(server: HealthServer) -> None:
    code, text = get(server, "/readyz")
    assert code == 503
    assert json.loads(text)["reasons"] == ["the model is not loaded", "the assignment is not known yet"]


def test_a_worker_with_model_and_assignment_is_ready(server: HealthServer, status: Status) -> None:
    status.model_loaded = status.assignment_known = True
    assert get(server, "/readyz") == (200, '{"status": "ok", "reasons": [], "assigned": 0}\n')


def test_a_worker_with_a_stalled_partition_is_not_ready_and_says_what_to_do(
    server: HealthServer, status: Status
) -> None:
    status.model_loaded = status.assignment_known = True
    status.assigned, status.stalled = 2, ["partition 1 gives nothing at 7. Skip it."]
    assert json.loads(get(server, "/readyz")[1]) == {"status": "no", "reasons": status.stalled, "assigned": 2}


def test_a_halted_worker_is_not_ready(server: HealthServer, status: Status) -> None:
    status.model_loaded = status.assignment_known = True
    status.halted = "too many dead letters"
    assert get(server, "/readyz")[0] == 503


def test_other_paths_are_not_found(server: HealthServer) -> None:
    code, text = get(server, "/")
    assert code == 404
    assert "/metrics" in text


def test_a_query_does_not_hide_the_page(server: HealthServer) -> None:
    assert get(server, "/livez?verbose=1")[0] == 200


def test_a_taken_port_is_a_settings_error(server: HealthServer) -> None:
    with pytest.raises(SettingsError, match="RISKSTREAM_HEALTH_PORT: cannot listen on"):
        HealthServer(("127.0.0.1", server.port), CollectorRegistry(), list, list)


def test_probes_in_a_row_are_served_while_one_client_says_nothing(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert get(server, "/livez")[0] == 200
