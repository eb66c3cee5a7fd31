"""The floor: the cheapest known way to do each step alone, with the same libraries, on the same data.

No step knows of another, checks anything, or could survive a crash; what a step needs is laid ready before its clock
starts. Their sum is what a worker would cost if all of its own thought were free.
"""

import socket
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import hiredis
import msgspec
import numpy as np
from msgspec.structs import replace

from riskstream.models.bundle import load_bundle
from riskstream.models.history import aggregate
from riskstream.schemas.score import RiskScore, decode_score
from riskstream.workers.outcome import Outcome
from tests.bench.bundles import session_of
from tests.bench.cpu import Work, cpu_us
from tests.bench.flow import Flow

APPEND = b"for i = 2, #KEYS do redis.call('APPEND', KEYS[i], ARGV[i]) end redis.call('SET', KEYS[1], ARGV[1])"
ROUNDS = 7
LEAST_EVENTS = 512
"""In a round: below this, the work is repeated."""


@dataclass
class Wire:
    """Redis without a client: bytes packed and parsed by hiredis, on a socket."""

    url: str

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        self._socket = socket.create_connection((address.hostname or "", address.port or 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def ask(self, *words: Any) -> Any:
        self._socket.sendall(hiredis.pack_command(words))
        while (answer := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(1 << 17))
        return answer

    def close(self) -> None:
        self._socket.close()


class Floor:
    """Steps of the floor, each measured once at a time: by turns with what is held against it."""

    def __init__(self, steps: Mapping[str, Work]) -> None:
        self._steps = steps
        self._found: dict[str, list[float]] = {name: [] for name in steps}

    def measure(self) -> None:
        for name, step in self._steps.items():
            self._found[name].append(cpu_us(step, 1))

    def us(self) -> dict[str, float]:
        """CPU microseconds per event of each step, the median over all times."""
        return {name: statistics.median(found) for name, found in self._found.items()}


def floor_us(flow: Flow, outcome: Outcome, trees: int) -> dict[str, float]:
    """CPU microseconds per event of each step at the outcome's batch size, those on Kafka apart."""
    with floor_steps(flow, outcome, trees) as steps:
        return {name: cpu_us(step, ROUNDS) for name, step in steps.items()}


@contextmanager
def floor_steps(flow: Flow, outcome: Outcome, trees: int) -> Iterator[dict[str, Work]]:
    """All but those on Kafka."""
    wire = Wire(flow.rig.world.stack.redis_url)
    steps: dict[str, Callable[[], object]] = {
        "decode": _decode(flow, outcome),
        "join": _profiles(outcome),
        "history": _history(flow, outcome),
        "assemble": lambda: outcome.aggregates.values.astype(np.float32),
        "score": _score(flow, outcome, trees),
        "encode": _encode(outcome),
        "write-behind": _append(wire, outcome),
    }
    try:
        yield {name: _repeated(step, len(outcome.records)) for name, step in steps.items()}
    finally:
        wire.close()


def _decode(flow: Flow, outcome: Outcome) -> Callable[[], object]:
    decode = msgspec.json.Decoder(flow.domain.event).decode
    values = [value or b"" for value in outcome.batch.records.values]
    return lambda: [decode(value) for value in values]


def _profiles(outcome: Outcome) -> Callable[[], object]:
    keys = [key or b"" for key in outcome.batch.records.keys]
    profiles = dict.fromkeys(keys, outcome.joined.profile)
    return lambda: [profiles[key] for key in keys]


def in_one_piece(outcome: Outcome) -> Outcome:
    """With its histories copied one after the other, so that they stay what they are while the flow goes on."""
    gathered = outcome.joined.gathered
    first, user = np.unique(gathered.first, return_inverse=True)
    last = np.zeros(len(first), np.int64)
    np.maximum.at(last, user, gathered.position)
    lengths = last - first + 1
    moved = np.cumsum(lengths) - lengths - first
    facts = np.concatenate([gathered.facts[a : b + 1] for a, b in zip(first, last, strict=True)])
    copied = replace(
        gathered, facts=facts, first=gathered.first + moved[user], position=gathered.position + moved[user]
    )
    return replace(outcome, joined=replace(outcome.joined, gathered=copied))


def _history(flow: Flow, outcome: Outcome) -> Callable[[], object]:
    gathered, spec = outcome.joined.gathered, flow.domain.features.spec
    return lambda: aggregate(spec, gathered.facts, gathered.first, gathered.position)


def _score(flow: Flow, outcome: Outcome, trees: int) -> Callable[[], object]:
    bundle = load_bundle(flow.rig.world.bundles[trees], flow.domain.features)
    session, manifest = session_of(bundle.model), bundle.manifest
    outputs, inputs = [manifest.output.tensor], {manifest.input: outcome.scored.vectors}
    return lambda: session.run(outputs, inputs)


def _encode(outcome: Outcome) -> Callable[[], object]:
    encode = msgspec.json.Encoder().encode
    scores: list[RiskScore] = [decode_score(value or b"") for *_, value, _ in outcome.records]
    return lambda: [encode(score) for score in scores]


def _append(wire: Wire, outcome: Outcome) -> Callable[[], object]:
    facts: dict[bytes, list[bytes]] = {}
    for key, row in zip(outcome.batch.records.keys, outcome.joined.gathered.position, strict=True):
        facts.setdefault(b"floor:" + (key or b""), []).append(outcome.joined.gathered.facts[row].tobytes())
    sha = wire.ask(b"SCRIPT", b"LOAD", APPEND)
    values = [b"".join(some) for some in facts.values()]
    return lambda: wire.ask(b"EVALSHA", sha, len(facts) + 1, b"floor:applied", *facts, b"mark", *values)


def _repeated(step: Callable[[], object], events: int) -> Work:
    times = max(1, LEAST_EVENTS // events)

    def work() -> int:
        for _ in range(times):
            step()
        return times * events

    return work
