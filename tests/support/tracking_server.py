"""A tracking server over an embedded registry's folder, as far as a worker reads one.

What it answers is made by MLflow's own store and by its own way to JSON, so the bytes are those of the real server,
which needs packages that are not installed here. Faults can be set.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.model_registry_pb2 import GetModelVersionDownloadUri, GetRegisteredModel, SearchModelVersions
from mlflow.utils.proto_json_utils import message_to_json

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass
class FakeServer:
    """What is asked of it, and what is wrong with it."""

    root: Path
    url: str = ""
    scheme: str = "mlflow-artifacts:"
    failing: list[int] = field(default_factory=list)  # statuses of the next answers
    cut: int | None = None  # bodies end after so many bytes
    authorization: str | None = None  # that it asks for
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._store = MlflowClient(f"sqlite:///{self.root}/mlflow.db")
        self._endpoints = {
            "registered-models/get": self._registered_model,
            "model-versions/search": self._search,
            "model-versions/get-download-uri": self._download_uri,
        }

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        if path.startswith(ARTIFACTS):
            file = self.root / "artifacts" / path.removeprefix(ARTIFACTS)
            return (200, file.read_bytes()) if file.is_file() else (404, b"{}")
        try:
            message = self._endpoints[path.removeprefix("/api/2.0/mlflow/")](query)
        except MlflowException as error:
            return error.get_http_status_code(), error.serialize_as_json().encode()
        return 200, message_to_json(message).encode()

    def _registered_model(self, query: dict[str, str]) -> Any:
        return GetRegisteredModel.Response(registered_model=self._store.get_registered_model(query["name"]).to_proto())

    def _search(self, query: dict[str, str]) -> Any:
        found = self._store.search_model_versions(query["filter"], max_results=1, page_token=query.get("page_token"))
        versions = [version.to_proto() for version in found]
        return SearchModelVersions.Response(model_versions=versions, next_page_token=found.token)

    def _download_uri(self, query: dict[str, str]) -> Any:
        uri = self._store.get_model_version_download_uri(query["name"], query["version"])
        _, _, path = uri.partition("/artifacts/")
        return GetModelVersionDownloadUri.Response(artifact_uri=f"{self.scheme}/{path}")


class _Handler(BaseHTTPRequestHandler):
    fake: FakeServer

    def do_GET(self) -> None:
        parts, fake = urlsplit(self.path), self.fake
        fake.asked.append(parts.path)
        if fake.authorization and self.headers.get("Authorization") != fake.authorization:
            status, body = 401, b"{}"
        elif fake.failing:
            status, body = fake.failing.pop(0), b"not now"
        else:
            status, body = fake.answer(unquote(parts.path), dict(parse_qsl(parts.query)))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status in (301, 302):
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(body if fake.cut is None else body[: fake.cut])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def tracking_server(root: Path) -> Iterator[FakeServer]:
    fake = FakeServer(root)
    handler = type("Handler", (_Handler,), {"fake": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
