"""The table of faults, and a seeded random mix of them."""

import random
import signal
from collections.abc import Callable
from typing import NamedTuple

import redis

from tests.faults.world import World

SESSION_S, TRANSACTION_S = 6.0, 10.0
"""The group's session timeout and the transaction timeout of the workers under test."""
REST_S = 30.0
"""The broker is let alone for so long after it came back: whether the group comes back is what is to be seen."""


class Fault(NamedTuple):
    """`target` names what is busy while the fault lasts; `act` does it and says what was done, or None if it cannot."""

    name: str
    target: str
    weight: int
    act: Callable[[World], str | None]


def _one(world: World) -> str | None:
    awake = world.fleet.awake()
    return world.random.choice(awake) if awake else None


def _kill(world: World) -> str | None:
    if slot := _one(world):
        world.fleet.signal(slot, signal.SIGKILL)
    return slot


def _terminate(world: World) -> str | None:
    if slot := _one(world):
        world.fleet.signal(slot, signal.SIGTERM)
        if world.random.random() < 0.3:
            world.later(0.1, lambda: world.fleet.signal(slot, signal.SIGTERM))
    return slot


def _stop_for(seconds: float) -> Callable[[World], str | None]:
    def act(world: World) -> str | None:
        slot = _one(world)
        if slot is None:
            return None
        pid = world.fleet.pipeline.workers[slot].pid
        world.fleet.signal(slot, signal.SIGSTOP)
        world.fleet.paused.add(slot)

        def wake() -> None:
            worker = world.fleet.pipeline.workers.get(slot)
            if worker and worker.pid == pid:
                world.fleet.signal(slot, signal.SIGCONT)
                world.fleet.paused.discard(slot)

        world.later(seconds, wake)
        return slot

    return act


def _scale(world: World) -> str:
    world.fleet.wanted = 1 if world.fleet.wanted == 3 else 3
    return f"to {world.fleet.wanted}"


def _restart_broker(world: World) -> str:
    world.broker.leave()
    return _come_back(world)


def _kill_broker(world: World) -> str:
    world.broker.kill()
    return _come_back(world)


def _come_back(world: World) -> str:
    world.busy.add("broker")

    def again() -> None:
        world.broker.start()
        world.later(REST_S, lambda: world.busy.discard("broker"))

    world.later(world.broker.given_up_s, again)
    return f"back after {world.broker.given_up_s:.0f} s"


def _pause_broker(seconds: float) -> Callable[[World], str]:
    def act(world: World) -> str:
        world.broker.pause()
        world.busy.add("broker")

        def again() -> None:
            world.broker.resume()
            world.later(REST_S, lambda: world.busy.discard("broker"))

        world.later(seconds, again)
        return f"{seconds:.0f} s"

    return act


# What Redis held is read from the log again, which takes the longer, the longer the run: one total loss at a time.


def _flush_redis(world: World) -> str | None:
    if world.behind():
        return None
    with redis.Redis.from_url(world.redis.url, socket_timeout=5) as client:
        client.flushall()
    return "all keys"


def _kill_redis(away_s: float) -> Callable[[World], str | None]:
    def act(world: World) -> str | None:
        if world.behind():
            return None
        world.redis.kill()
        world.busy.add("redis")

        def again() -> None:
            world.redis.start()
            world.busy.discard("redis")

        world.later(away_s, again)
        return f"empty after {away_s:.0f} s"

    return act


def _pause_redis(seconds: float) -> Callable[[World], str]:
    def act(world: World) -> str:
        world.redis.pause()
        world.busy.add("redis")

        def again() -> None:
            world.redis.resume()
            world.busy.discard("redis")

        world.later(seconds, again)
        return f"{seconds:.0f} s"

    return act


FAULTS: tuple[Fault, ...] = (
    Fault("worker kill -9", "worker", 6, _kill),
    Fault("worker stopped 1 s", "worker", 3, _stop_for(1.0)),
    Fault("worker stopped beyond its session", "worker", 2, _stop_for(SESSION_S + 2)),
    Fault("worker stopped beyond its transaction", "worker", 2, _stop_for(TRANSACTION_S + 3)),
    Fault("worker SIGTERM", "worker", 3, _terminate),
    Fault("scale", "fleet", 4, _scale),
    Fault("broker restart", "broker", 1, _restart_broker),
    Fault("broker kill -9", "broker", 1, _kill_broker),
    Fault("broker paused", "broker", 1, _pause_broker(3.0)),
    Fault("broker paused beyond transactions", "broker", 1, _pause_broker(TRANSACTION_S + 2)),
    Fault("redis FLUSHALL", "redis", 2, _flush_redis),
    Fault("redis kill -9", "redis", 1, _kill_redis(0.0)),
    Fault("redis kill -9 and away", "redis", 1, _kill_redis(5.0)),
    Fault("redis paused", "redis", 2, _pause_redis(2.0)),
)


class Mix:
    """Faults in the order that the seed says. The first rounds take each once, so that a short run has most of them."""

    def __init__(self, rng: random.Random, without: frozenset[str] = frozenset()) -> None:
        self._random = rng
        self._faults = [fault for fault in FAULTS if fault.target not in without]
        self._first = rng.sample(self._faults, len(self._faults))
        self.injected: dict[str, int] = {}

    def pause_s(self) -> float:
        return self._random.uniform(2.0, 6.0)

    def inject(self, world: World) -> str | None:
        """Do the next fault; answers what was done, None if its target is busy with another."""
        if not self._faults:
            return None
        fault = self._first.pop() if self._first else self._choose()
        if fault.target in world.busy:
            return None
        done = fault.act(world)
        if done is None:
            return None
        self.injected[fault.name] = self.injected.get(fault.name, 0) + 1
        return f"{fault.name}: {done}"

    def _choose(self) -> Fault:
        return self._random.choices(self._faults, [fault.weight for fault in self._faults])[0]
