"""A worker's own connection to Redis: many commands at once, whose answers may be waited for or fetched later, and word
of the keys that have changed since they were read.

Redis calls it client-side caching. It remembers which keys were read to be kept, and says once, on this connection and
in order with the answers, that one of them was written, deleted or has expired. With the connection that is over.
"""

import select
from collections.abc import Sequence, Set
from typing import Any, cast

import hiredis
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)

Command = tuple[Any, ...]

KEEP: Command = (b"CLIENT", b"CACHING", b"YES")
"""Before a command: Redis is to tell of changes to what it reads."""

_NOTHING: frozenset[bytes] = frozenset()
_HEARD = object()
"""In place of an answer: it was a message."""


class RedisLine:
    """Used by one thread. Connects at its first use, and again after an error."""

    def __init__(self, client: "redis.Redis") -> None:
        self._connection = client.connection_pool.make_connection()
        self._connection.register_connect_callback(self._listen)
        # As redis-py's own cache does, which keeps each answer by itself, where a worker keeps a batch's in columns.
        cast(Any, self._connection)._parser.set_invalidation_push_handler(self._hear)
        self._awaited = 0
        self._arrived: list[Any] = []
        self._changed: set[bytes] = set()
        self._lost = False
        self._refused = False
        self._poll = select.epoll()  # half of what poll() takes
        self._is_drained = False
        """What comes next comes by the socket: the client keeps nothing that it has read."""

    def kept(self, command: Command) -> list[Command]:
        """A command to read what is to be kept; just that command from a Redis that does not tell of changes."""
        return [command] if self._refused else [KEEP, command]

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, in one round trip. Raises RedisError, a refusal of any command included."""
        self.send(commands)
        first = self._awaited - len(commands)
        self.fetch()
        answers, self._arrived, self._awaited = self._arrived[first:], self._arrived[:first], first
        return answers

    def send(self, commands: Sequence[Command]) -> None:
        """Have them done in order, and wait for nothing: `answers` has what becomes of them. Raises RedisError.

        Packed by hiredis: the client's own way looks at each key and value once more.
        """
        try:
            self._connection.send_packed_command([b"".join(map(hiredis.pack_command, commands))])
        except redis.exceptions.RedisError:
            self.close()
            raise
        self._awaited += len(commands)

    def answers(self, *, wait: bool) -> list[Any] | None:
        """To all that was sent and not asked; None while some are on their way, nothing if the connection was lost.

        Without `wait` those count that `changed` came by. Raises RedisError, a refusal of any command included.
        """
        if wait:
            self.fetch()
        if len(self._arrived) < self._awaited:
            return None
        answers, self._arrived, self._awaited = self._arrived, [], 0
        return answers

    def fetch(self) -> None:
        """Wait until all is answered. Raises RedisError, a refusal of any command included."""
        try:
            while len(self._arrived) < self._awaited:
                self._arrived.append(self._answer())
        except redis.exceptions.RedisError:
            self.close()
            raise

    def _answer(self) -> Any:
        # One by one: the client itself goes a call deeper for each message before an answer; there may be thousands.
        while (answer := self._read()) is _HEARD:
            pass
        return answer

    def _read(self) -> Any:
        self._is_drained = False
        return self._connection.read_response(push_request=True)

    def changed(self) -> Set[bytes] | None:
        """The kept keys that have changed since the last call; None when any of them may have.

        Waits for nothing. What changes during a round trip is told by the next call.
        """
        if self.is_quiet():
            return _NOTHING
        try:
            while self._can_read():
                if (answer := self._read()) is not _HEARD:
                    self._arrived.append(answer)
        except redis.exceptions.RedisError:
            self.close()
        changed, self._changed = self._changed, set()
        lost, self._lost = self._lost or self._refused, False
        return None if lost else changed

    def is_quiet(self) -> bool:
        """Whether nothing has come since. Mostly, as this is asked for each batch, and the client's own questions cost
        many times as much."""
        return self._is_drained and not (self._changed or self._lost or self._refused or self._poll.poll(0))

    def _can_read(self) -> bool:
        if self._is_drained and not self._poll.poll(0):
            return False
        if not self._connection.is_connected:
            return False
        self._is_drained = not self._connection.can_read()
        return not self._is_drained

    def close(self) -> None:
        self._connection.disconnect()
        self._is_drained = False
        self._awaited, self._arrived = 0, []
        self._lost = True

    def _listen(self, connection: "redis.connection.Connection") -> None:
        self._refused, self._is_drained = False, False
        self._poll.close()
        self._poll = select.epoll()
        self._poll.register(cast(Any, connection)._sock, select.EPOLLIN)
        connection.send_command("CLIENT", "TRACKING", "ON", "OPTIN", check_health=False)
        try:
            connection.read_response()
        except redis.exceptions.ResponseError as error:
            self._refused = True
            log.warning("Redis does not tell of changes, so profiles are read for each batch", error=str(error))

    def _hear(self, message: list[Any]) -> object:
        keys = message[1]
        if keys is None:  # all of them: the server was emptied
            self._lost = True
        else:
            self._changed.update(keys)
        return _HEARD


def connect(url: str, timeout_ms: int) -> "redis.Redis":
    """A client that fails fast: no hidden retries, since a repeated write must be its caller's decision."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_ms / 1000,
        socket_connect_timeout=timeout_ms / 1000,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
        protocol=3,  # with it, changes are told on the connection that asks
    )
