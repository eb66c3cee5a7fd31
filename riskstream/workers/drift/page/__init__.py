"""The sidecar's page: its files, uPlot (MIT) among them so that it needs no other host, and the answers it asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from riskstream.workers.drift.overview import Recent

CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".LICENSE": "text/plain"}
FILES = {p.name: p.read_bytes() for p in sorted(Path(__file__).parent.iterdir()) if p.suffix in CONTENT_TYPES}
MOST_WINDOWS = 2_000


class Answer(NamedTuple):
    """What goes over HTTP; text is UTF-8."""

    status: int
    content_type: str
    body: bytes


class WrongQuery(ValueError):
    """The query of a request; the message names the parameter."""


def answer(path: str, query: Mapping[str, str], recent: Recent) -> Answer:
    """The answer to a GET of `path`: a file of the page, `/api/overview` or `/api/report?key=`."""
    name = path.lstrip("/") or "index.html"
    if name in FILES:
        return Answer(200, CONTENT_TYPES[Path(name).suffix], FILES[name])
    try:
        if name == "api/overview":
            return _json(_overview(query, recent))
        if name == "api/report":
            return _json(recent.whole(query.get("key", "")))
    except WrongQuery as error:
        return Answer(400, "text/plain", str(error).encode())
    return Answer(404, "text/plain", b"not found")


def _overview(query: Mapping[str, str], recent: Recent) -> bytes:
    length, windows = _whole(query, "length", None), _whole(query, "windows", 288) or 1
    seen = recent.overview(query.get("model"), length, query.get("segment"), min(windows, MOST_WINDOWS))
    return msgspec.json.encode(seen)


def _whole(query: Mapping[str, str], name: str, default: int | None) -> int | None:
    given = query.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise WrongQuery(f"{name} must be a whole number")
    return int(given)


def _json(body: bytes | None) -> Answer:
    return Answer(404, "text/plain", b"no such window") if body is None else Answer(200, "application/json", body)
