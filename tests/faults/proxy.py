"""A TCP proxy between a worker and a server, that breaks the line where it is told to.

It understands so much of both protocols that a rule can name a message: Kafka requests by their key, Redis commands by
their name. Whatever is done happens outside of the worker, which therefore needs no hooks for tests.
"""

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Self

from riskstream.deploy.stack.processes import free_port

PRODUCE, FETCH, OFFSET_COMMIT, FIND_COORDINATOR, ADD_PARTITIONS, ADD_OFFSETS = 0, 1, 8, 10, 24, 25
END_TXN, TXN_OFFSET_COMMIT = 26, 28
EVALSHA, MGET = b"EVALSHA", b"MGET"

Kind = int | bytes | None
Side = Literal["request", "response"]
Act = Callable[[bytes], bytes | None]
"""Given a message, what to pass on of it; None cuts the connection."""


@dataclass
class Rule:
    """What to do with the message of this kind, after letting `skip` of them pass. `hit` is set once it was done."""

    kind: Kind
    side: Side
    act: Act
    skip: int = 0
    hit: threading.Event = field(default_factory=threading.Event)


def passed(message: bytes) -> bytes:
    return message


def cut(_message: bytes) -> None:
    """Neither this message nor another: both ends see a reset."""
    return


def dropped(_message: bytes) -> bytes:
    """The message never arrives; the connection stays."""
    return b""


def delayed(seconds: float) -> Act:
    def act(message: bytes) -> bytes:
        time.sleep(seconds)
        return message

    return act


def calling(after: Callable[[], None]) -> Act:
    """The message passes; then this is done."""

    def act(message: bytes) -> bytes:
        threading.Timer(0.0, after).start()
        return message

    return act


@dataclass
class Held:
    """An act: the message waits from `reached` until `released`. `then` is done when it has come."""

    then: Callable[[], object] = lambda: None
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __call__(self, message: bytes) -> bytes:
        self.then()
        self.reached.set()
        self.released.wait(120)
        return message


def refused(code: int) -> Act:
    """An answer of the oldest form, that ends in its error code, says this code instead."""

    def act(message: bytes) -> bytes:
        return message[:-2] + struct.pack(">h", code)

    return act


def killing(pid: int, share: float = 0.0) -> Act:
    """kill -9 to the process; of the message, so much arrives."""

    def act(message: bytes) -> bytes:
        os.kill(pid, signal.SIGKILL)
        return message[: int(len(message) * share)]

    return act


class Proxy:
    """Listens on a port of its own and passes on to `target`. Use as a context; closing cuts all connections."""

    def __init__(self, target: int, port: int | None = None) -> None:
        self.target = target
        self.port = port or free_port()
        self.rules: list[Rule] = []
        self.delay_s = 0.0
        self._flowing = threading.Event()
        self._flowing.set()
        self._left: int | None = None
        self._lines: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.resume()
        self.reset()

    def on(self, kind: Kind, side: Side, act: Act, skip: int = 0) -> Rule:
        """Do this once, to the next such message."""
        rule = Rule(kind, side, act, skip)
        with self._lock:
            self.rules.append(rule)
        return rule

    def stall(self) -> None:
        """Nothing passes in either direction until `resume`; connections stay."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def reset(self) -> None:
        """Cut all connections with a reset; new ones may come."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            _cut(line)

    def cut_after(self, count: int) -> None:
        """Let so many more bytes of answers pass, then cut that connection in the middle of what it says."""
        self._left = count

    def calm_down(self) -> None:
        """Forget all rules; everything flows."""
        with self._lock:
            self.rules.clear()
        self.delay_s, self._left = 0.0, None
        self.resume()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                server.settimeout(None)
            except OSError:
                if self._listener.fileno() < 0:
                    return
                with suppress(OSError, UnboundLocalError):
                    client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = client, server
            with self._lock:
                self._lines.add(line)
            kinds: dict[bytes, Kind] = {}
            for side in ("request", "response"):
                threading.Thread(target=self._pump, args=(line, side, kinds), daemon=True).start()

    def _pump(self, line: tuple[socket.socket, socket.socket], side: Side, kinds: dict[bytes, Kind]) -> None:
        source, sink = line if side == "request" else line[::-1]
        try:
            for kind, message in self._messages(source, side, kinds):
                if self.delay_s:
                    time.sleep(self.delay_s)
                self._flowing.wait()
                passing = self._ruled(kind, side, message)
                if passing is None or not self._send(sink, passing, side):
                    break
        except OSError:
            pass
        _cut(line)
        with self._lock:
            self._lines.discard(line)

    def _ruled(self, kind: Kind, side: Side, message: bytes) -> bytes | None:
        with self._lock:
            rule = next((rule for rule in self.rules if (rule.kind, rule.side) == (kind, side)), None)
            if rule and rule.skip:
                rule.skip -= 1
                rule = None
            elif rule:
                self.rules.remove(rule)
        if rule is None:
            return message
        passing = rule.act(message)
        rule.hit.set()
        return passing

    def _send(self, sink: socket.socket, message: bytes, side: Side) -> bool:
        if side == "response" and self._left is not None:
            message, self._left = message[: self._left], self._left - len(message)
            if self._left <= 0:
                self._left = None
                sink.sendall(message)
                return False
        sink.sendall(message)
        return True

    def _messages(self, source: socket.socket, side: Side, kinds: dict[bytes, Kind]) -> Iterator[tuple[Kind, bytes]]:
        raise NotImplementedError


class KafkaProxy(Proxy):
    """Messages are whole frames; the kind is the key of the request, also for its response."""

    def _messages(self, source: socket.socket, side: Side, kinds: dict[bytes, Kind]) -> Iterator[tuple[Kind, bytes]]:
        buffer = b""
        while data := source.recv(1 << 18):
            buffer += data
            while len(buffer) >= 4 and len(buffer) >= 4 + (size := struct.unpack_from(">i", buffer)[0]):
                message, buffer = buffer[: 4 + size], buffer[4 + size :]
                if side == "request":
                    kind: Kind = struct.unpack_from(">h", message, 4)[0]
                    kinds[message[8:12]] = kind
                else:
                    kind = kinds.pop(message[4:8], None)
                yield kind, message


class RedisProxy(Proxy):
    """Messages are what comes at once; the kind is the command that begins in it, also for the answer."""

    def _messages(self, source: socket.socket, side: Side, kinds: dict[bytes, Kind]) -> Iterator[tuple[Kind, bytes]]:
        while data := source.recv(1 << 18):
            if side == "request":
                kinds[b"last"] = next((name for name in (EVALSHA, MGET) if name in data), None)
            yield kinds.get(b"last"), data


def _cut(line: tuple[socket.socket, socket.socket]) -> None:
    for end in line:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RD)  # wakes who reads; the close then sends the reset
        with suppress(OSError):
            end.close()
