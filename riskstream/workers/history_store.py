"""The Redis end: histories written behind, histories and profiles read, all of one batch in one round trip."""

import random
import time
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

import msgspec
import redis

from riskstream.schemas.history import PROFILES, Keys, Namespace, namespace_key, profile_key, profile_keys
from riskstream.workers.errors import Halt, Unavailable
from riskstream.workers.redis_line import Command, RedisLine

T = TypeVar("T")

APPEND, REPLACE = b"A", b"R"

# Appends and the mark move in one step, and only if the mark is what the writer believes: a writer that lost its
# partition, or a Redis that lost its data, changes nothing. The reply is the mark that holds afterwards.
# An append to a key that is gone would begin a history in the middle: it asks for the whole instead.
WRITE_SCRIPT = b"""
local mark = redis.call('GET', KEYS[1]) or ''
if mark ~= ARGV[1] then return mark end
local modes = ARGV[3]
for i = 2, #KEYS do
  if string.byte(modes, i - 1) == 65 and redis.call('EXISTS', KEYS[i]) == 0 then return 'GONE' end
end
for i = 2, #KEYS do
  if string.byte(modes, i - 1) == 65 then
    redis.call('APPEND', KEYS[i], ARGV[i + 3])
    redis.call('PEXPIRE', KEYS[i], ARGV[4])
  else
    redis.call('SET', KEYS[i], ARGV[i + 3], 'PX', ARGV[4])
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
"""
GONE = b"GONE"


@dataclass(slots=True)
class Write:
    """Facts of one partition on their way to Redis, and the applied mark before and after."""

    keys: Keys
    expected: bytes
    applied: bytes
    modes: bytearray = field(default_factory=bytearray)
    users: list[bytes] = field(default_factory=list)
    values: list[bytes | bytearray] = field(default_factory=list)


@dataclass(slots=True)
class Read:
    """Histories of one partition to read, with the mark in the same command."""

    keys: Keys
    users: list[bytes]


@dataclass(slots=True)
class Reply:
    """`marks`: per write, the mark that Redis holds now (or GONE). `histories`: per read, the mark and the values.
    `profiles`: per user asked for, the stored bytes or None."""

    marks: list[bytes]
    histories: list[tuple[bytes, list[bytes | None]]]
    profiles: list[bytes | None]


@dataclass(slots=True)
class HistoryStore:
    """Histories and profiles in Redis. Never retries inside an attempt; attempts are bounded by time.

    Profiles that were read may be kept until `changed_profiles` says otherwise.
    """

    client: redis.Redis
    ttl_ms: int
    give_up_ms: int = 3_000
    probe_ms: int = 1_000
    on_error: Callable[[str], None] = lambda operation: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    is_quiet: Callable[[], bool] = field(init=False)
    """Whether no profile has changed since `changed_profiles` was asked, and nothing else was told either."""
    _line: RedisLine = field(init=False)
    _sha: str = ""
    _down_until: float | None = None
    _checked_for: tuple[str, Namespace] | None = None

    def __post_init__(self) -> None:
        self._line = RedisLine(self.client)
        self.is_quiet = self._line.is_quiet

    def check(self, namespace: str, record: Namespace) -> None:
        """Refuse a Redis that may forget, or one whose keys were written for something else; now, and again whenever
        marks are read: a Redis that was away at the start or lost everything may be another one when it is back.

        Raises Halt with what to do, Unavailable when Redis does not answer.
        """
        self._checked_for = namespace, record
        self._persistently("check", self._check_policy)
        stored = self._persistently("check", lambda: self._claim(namespace_key(namespace, record.topic), record))
        if stored.group != record.group:
            raise Halt(
                f"history namespace {namespace!r} belongs to group {stored.group!r}, this worker is of group "
                f"{record.group!r}: each would undo what the other writes. Set RISKSTREAM_HISTORY_NAMESPACE to one of "
                f"this group's own (its histories are built from the input log), or RISKSTREAM_GROUP={stored.group}."
            )
        if stored != record:
            differing = [
                f"{name} is {getattr(record, name)!r} here and {getattr(stored, name)!r} there"
                for name in record.__struct_fields__
                if getattr(stored, name) != getattr(record, name)
            ]
            raise Halt(
                f"history namespace {namespace!r} was written for something else: {'; '.join(differing)}. "
                "Choose another RISKSTREAM_HISTORY_NAMESPACE, and the histories are rebuilt from the input log."
            )

    def applied(self, partitions: Sequence[Keys]) -> list[bytes | None]:
        """The raw applied mark of each partition, what was begun included. Raises Unavailable, Halt as `check` does."""
        if not partitions:
            return []
        with suppress(redis.exceptions.RedisError):  # `begun` tells
            self._line.fetch()
        if self._checked_for:
            self.check(*self._checked_for)
        return self._persistently("applied", lambda: self._mget([keys.applied for keys in partitions]))

    def changed_profiles(self) -> Set[bytes] | None:
        """Users whose profile has changed since it was read; None when any may have. Asks nothing, waits for nothing.

        Told when Redis has it, so what was written before an event was sent is known before the event comes.
        """
        keys = self._line.changed()
        return {key.removeprefix(PROFILES) for key in keys} if keys else keys  # mostly empty

    def exchange(self, writes: list[Write], reads: list[Read], profiles: list[bytes]) -> Reply:
        """Write, then read, in one round trip. A repeated write that was already executed reports success.

        Raises Unavailable after `give_up_ms` without an answer, and at once while Redis is known to be down.
        """
        return self._persistently("exchange", lambda: self._exchange(writes, reads, profiles))

    def begin(self, writes: list[Write]) -> bool:
        """Send them and wait for nothing: `begun` tells what became of them. False if that cannot be done now."""
        if self.down or not self._sha:
            return False
        try:
            self._line.send([self._command(write) for write in writes])
        except redis.exceptions.RedisError:
            self.on_error("exchange")
            return False
        return True

    def begun(self, *, wait: bool) -> list[bytes] | None:
        """Per write that was begun, the mark that Redis holds now (or GONE); None while it is at them, which is seen
        when `changed_profiles` is asked, unless this is to `wait`. Nothing if it will never be known."""
        try:
            marks = self._line.answers(wait=wait)
        except redis.exceptions.RedisError:
            marks = []
        if marks == []:
            self._sha = ""  # perhaps it was the script that was refused; the next exchange sees to it
            self.on_error("exchange")
        return marks

    def history(self, keys: Keys, user: bytes) -> tuple[bytes | None, bytes | None, bytes | None]:
        """For inspection: the mark, the stored history and the profile of one user."""
        wanted = [keys.applied, keys.history(user), profile_key(user)]
        mark, history, profile = self._persistently("inspect", lambda: self._mget(wanted))
        return mark, history, profile

    def put_profiles(self, profiles: Sequence[tuple[bytes, bytes]]) -> None:
        """Write profiles as another system would: (key, JSON) pairs."""
        for start in range(0, len(profiles), 1_000):
            self._persistently("profiles", partial(self.client.mset, dict(profiles[start : start + 1_000])))

    def close(self) -> None:
        self._line.close()
        self.client.close()

    @property
    def down(self) -> bool:
        """Whether the last attempt was given up and the next probe is not due yet."""
        return self._down_until is not None and self.clock() < self._down_until

    def _exchange(self, writes: list[Write], reads: list[Read], profiles: list[bytes]) -> Reply:
        if writes and not self._sha:
            self._sha = self.client.script_load(WRITE_SCRIPT)
        commands = [self._command(write) for write in writes]
        commands += [(b"MGET", read.keys.applied, *read.keys.histories(read.users)) for read in reads]
        if profiles:  # last, so that no change can be told between their answer and its use
            commands += self._line.kept((b"MGET", *profile_keys(profiles)))
        try:
            answers = self._line.ask(commands)
        except redis.exceptions.NoScriptError:
            self._sha = ""
            raise
        marks, rest = answers[: len(writes)], answers[len(writes) :]
        histories = [(values[0] or b"", values[1:]) for values in rest[: len(reads)]]
        return Reply(marks, histories, rest[-1] if profiles else [])

    def _command(self, write: Write) -> Command:
        stored = write.keys.histories(write.users)
        head = (write.expected, write.applied, bytes(write.modes), self.ttl_ms)
        return (b"EVALSHA", self._sha, len(stored) + 1, write.keys.applied, *stored, *head, *write.values)

    def _persistently(self, operation: str, attempt: Callable[[], T]) -> T:
        """Try until it works or `give_up_ms` have passed; while Redis is known to be down, one try per probe."""
        if self.down:
            raise Unavailable("Redis is down")
        deadline = self.clock() + (self.give_up_ms / 1000 if self._down_until is None else 0)
        pause = 0.02
        while True:
            try:
                answer = attempt()
            except redis.exceptions.RedisError as error:
                self.on_error(operation)
                if self.clock() + pause >= deadline:
                    self._down_until = self.clock() + self.probe_ms / 1000
                    self._sha = ""  # a Redis that was restarted has lost the script
                    raise Unavailable(f"Redis does not do what it should: {error}") from error
                self.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, 0.5)
            else:
                self._down_until = None
                return answer

    def _mget(self, keys: list[bytes]) -> list[bytes | None]:
        return cast(list[bytes | None], self.client.mget(keys))

    def _check_policy(self) -> None:
        policy = self.client.info("memory").get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise Halt(
                f"Redis may evict histories: its maxmemory-policy is {policy}. "
                "Run `redis-cli config set maxmemory-policy noeviction` (and put it into its configuration)."
            )

    def _claim(self, key: bytes, record: Namespace) -> Namespace:
        self.client.set(key, msgspec.json.encode(record), nx=True)
        try:
            stored = msgspec.json.decode(self.client.get(key) or b"", type=Namespace)
        except msgspec.DecodeError as error:
            raise Halt(f"the namespace record {key.decode()} is damaged: {error}. Choose another namespace.") from error
        if not stored.group:  # written before a namespace belonged to a group
            stored = msgspec.structs.replace(stored, group=record.group)
            self.client.set(key, msgspec.json.encode(stored))
        return stored
