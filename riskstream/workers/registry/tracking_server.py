"""A tracking server as a worker reads it: MLflow's REST API by the standard library, without MLflow.

Nothing is believed: answers are limited in size and time, redirects, which would carry the password elsewhere, are not
followed, and the caller holds what was downloaded against the sha256 that was registered. A call is tried four times.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random
from tenacity.wait import wait_base

from riskstream.models.bundle import MANIFEST, MODEL, REFERENCE, SMOKE
from riskstream.workers.errors import RegistryError, Unavailable
from riskstream.workers.registry.place import Server
from riskstream.workers.registry.records import Model, Registered, Stored, read_model

TIMEOUT_S = 10.0  # of silence
LONGEST_S = 120.0  # of one answer
ATTEMPTS = 4
WAIT = wait_exponential(multiplier=0.2, max=5) + wait_random(0, 0.5)
MIB = 1 << 20
JSON_LIMIT = 8 * MIB
LIMITS = {MANIFEST: MIB, REFERENCE: 16 * MIB, SMOKE: 16 * MIB, MODEL: 512 * MIB}
NOT_NOW = (408, 425, 429, 500, 502, 503, 504)
PROXIED = "mlflow-artifacts"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None  # so that it is an error


class TrackingServer:
    """Reads models and bundles. Raises Unavailable when the server stays away, RegistryError for what is refused."""

    def __init__(self, server: Server, timeout_s: float = TIMEOUT_S, wait: wait_base = WAIT) -> None:
        self._server, self._timeout_s = server, timeout_s
        self._opener = urllib.request.build_opener(_NoRedirect)
        tries = stop_after_attempt(ATTEMPTS)
        self._retrying = Retrying(retry=retry_if_exception_type(Unavailable), stop=tries, wait=wait, reraise=True)

    def model(self, name: str) -> Model:
        """As MLflow's client would read it; without versions if there is none of that name."""
        found = self._json("registered-models/get", name=name)
        if found is None:
            return read_model(name, {}, [])
        stored: list[Stored] = []
        query = {"filter": f"name='{name}'", "max_results": "200"}
        while True:
            page = self._json("model-versions/search", **query) or {}
            stored += [_stored(one) for one in page.get("model_versions", [])]
            if not page.get("next_page_token"):
                break
            query["page_token"] = page["next_page_token"]
        return read_model(name, _tags(found.get("registered_model", {})), stored)

    def download(self, registered: Registered, into: Path) -> None:
        """Writes the bundle's files into the directory `into`, unchecked but for their sizes."""
        label = registered.label
        asked = {"name": label.name, "version": str(registered.stored.number)}
        place = urlsplit((self._json("model-versions/get-download-uri", **asked) or {}).get("artifact_uri", ""))
        if place.scheme != PROXIED:
            what = f"its files are at {place.scheme}:, and a worker reads only what the server itself hands out"
            advice = f"run `riskstream model fetch {label} --to DIR` and set RISKSTREAM_BUNDLE=DIR"
            raise RegistryError(f"{label}: {what}; {advice}")
        for name, limit in LIMITS.items():
            data = self._get(f"api/2.0/{PROXIED}/artifacts/{quote(place.path.strip('/'))}/{name}", limit)
            if data is None:
                raise RegistryError(f"{label}: the server has no {name} of it; retire it and register it anew")
            (into / name).write_bytes(data)

    def _json(self, path: str, **query: str) -> dict[str, Any] | None:
        data = self._get(f"api/2.0/mlflow/{path}?{urlencode(query)}", JSON_LIMIT)
        try:
            answer = None if data is None else json.loads(data)
        except (ValueError, RecursionError):
            answer = data
        if answer is not None and not isinstance(answer, dict):
            raise RegistryError(f"registry {self._server}: {path} is answered by no JSON; is it an MLflow server?")
        return answer

    def _get(self, path: str, limit: int) -> bytes | None:
        """The body, or None if there is no such thing."""
        return self._retrying(self._try, f"{self._server.url}/{path}", limit)

    def _try(self, url: str, limit: int) -> bytes | None:
        request = urllib.request.Request(url)  # noqa: S310 - `locate` lets http and https pass, nothing else
        if self._server.authorization:
            request.add_header("Authorization", self._server.authorization)
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return self._read(answer, limit)
        except urllib.error.HTTPError as error:
            with error:
                self._check_missing(error.code)
            return None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Unavailable(f"registry {self._server}: does not answer: {reason}") from error

    def _read(self, answer: http.client.HTTPResponse, limit: int) -> bytes:
        deadline, data = time.monotonic() + LONGEST_S, bytearray()
        while part := answer.read1(MIB):
            data += part
            if len(data) > limit:
                raise RegistryError(f"registry {self._server}: an answer is larger than {limit // MIB} MiB")
            if time.monotonic() > deadline:
                raise Unavailable(f"registry {self._server}: an answer takes longer than {LONGEST_S:g} s")
        if answer.length:
            raise Unavailable(f"registry {self._server}: an answer ended {answer.length} bytes early")
        return bytes(data)

    def _check_missing(self, status: int) -> None:
        """Raises what a status other than 404 means."""
        if status in NOT_NOW:
            raise Unavailable(f"registry {self._server}: answers with HTTP status {status}")
        if status in (401, 403):
            hint = "set RISKSTREAM_REGISTRY_TOKEN, or a user and password in RISKSTREAM_REGISTRY_URI"
            raise RegistryError(f"registry {self._server}: refuses this worker (HTTP status {status}); {hint}")
        if status != http.client.NOT_FOUND:
            raise RegistryError(f"registry {self._server}: answers with HTTP status {status}; is it an MLflow server?")


def _stored(one: dict[str, Any]) -> Stored:
    return Stored(int(one.get("version", 0)), one.get("source", ""), one.get("run_id", ""), _tags(one))


def _tags(thing: dict[str, Any]) -> dict[str, str]:
    return {tag.get("key", ""): tag.get("value", "") for tag in thing.get("tags", [])}
