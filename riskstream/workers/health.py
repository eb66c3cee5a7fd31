"""Health: `/metrics`, `/livez` and `/readyz` from a thread of its own that never makes the loop wait."""

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from riskstream.workers.settings_sources import SettingsError

Reasons = Callable[[], list[str]]


class Status:
    """What the loop tells of itself and the probes read. Plain assignments: no lock is needed."""

    def __init__(self, stuck_after_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stuck_after_s = stuck_after_s
        self._last_progress = clock()
        self.model_loaded = False
        self.assignment_known = False
        self.assigned = 0  # partitions; none is as good as any: others have them, and this worker takes over
        self.halted: str | None = None  # why the loop waits for an operator
        self.stalled: list[str] = []  # the same, partition by partition

    def progress(self) -> None:
        """The loop went round, or moved on in its recovery."""
        self._last_progress = self._clock()

    def why_not_live(self) -> list[str]:
        silent_s = self._clock() - self._last_progress
        return [f"no progress for {silent_s:.0f} s"] if silent_s > self._stuck_after_s else []

    def why_not_ready(self) -> list[str]:
        reasons = [] if self.model_loaded else ["the model is not loaded"]
        reasons += [] if self.assignment_known else ["the assignment is not known yet"]
        return [*reasons, *([f"halted: {self.halted}"] if self.halted else []), *self.stalled]

    def details(self) -> dict[str, int]:
        """What /readyz says besides."""
        return {"assigned": self.assigned}


class HealthServer:
    """Serves until closed; use it as a context manager. `why_not_*` return the reasons against, none meaning yes."""

    def __init__(
        self,
        address: tuple[str, int],
        registry: CollectorRegistry,
        why_not_live: Reasons,
        why_not_ready: Reasons,
        others: "Others" = lambda target: None,
        details: Callable[[], dict[str, int]] = dict,
    ) -> None:
        """Binds at once: SettingsError if the address cannot be had. Port 0 takes any free one, see `port`.

        `others` is asked for what is none of these pages, with path and query; None is: not found. `details` are
        shown with the readiness.
        """
        pages = {
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/livez": lambda: _probe(why_not_live()),
            "/readyz": lambda: _probe(why_not_ready(), details()),
        }
        self._server = _bind(address, pages, others)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


Page = tuple[int, str, bytes]
Pages = dict[str, Callable[[], Page]]
Others = Callable[[str], Page | None]


def _probe(reasons: list[str], details: dict[str, int] | None = None) -> Page:
    body = {"status": "no" if reasons else "ok", "reasons": reasons, **(details or {})}
    return 503 if reasons else 200, "application/json", json.dumps(body).encode() + b"\n"


class _Server(ThreadingTCPServer):
    # Not http.server's: that one asks DNS for the host's name while it binds.
    daemon_threads = True
    allow_reuse_address = True
    pages: Pages
    others: Others


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    timeout = 5  # a client that says nothing does not keep its thread
    server: _Server

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        found = f"try {', '.join(self.server.pages)}\n".encode()
        answer = page() if page else self.server.others(self.path)
        status, content_type, body = answer or (404, "text/plain", found)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes come every few seconds; they are not news."""


def _bind(address: tuple[str, int], pages: Pages, others: Others) -> _Server:
    host, port = address
    try:
        server = (_Server6 if ":" in host else _Server)(address, _Handler)
    except OSError as error:
        where = "RISKSTREAM_DRIFT_HOST and _PORT for the sidecar, RISKSTREAM_HEALTH_HOST, RISKSTREAM_HEALTH_PORT"
        problem = f"{where}: cannot listen on {host}:{port}: {error.strerror}. Port 0 takes any free one."
        raise SettingsError([problem]) from None
    server.pages, server.others = pages, others
    return server
