"""The watchdog by steps: a partition is begun anew, another reader is asked, and then it is declared."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from riskstream.workers.watchdog import Watchdog


@dataclass
class Source:
    """Notes what is done to it; `found` is what another reader finds."""

    end: int = 10
    found: str = "nothing"
    done: list[str] = field(default_factory=list)

    def ends(self, numbers: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(numbers, self.end)

    def begin_anew(self, number: int) -> None:
        self.done.append("begin_anew")

    def renew(self) -> None:
        self.done.append("renew")

    def probe(self, number: int, offset: int) -> str:
        self.done.append("probe")
        return self.found


@dataclass
class Scene:
    """Five seconds are a stall."""

    source: Source
    now: float = 100.0

    def __post_init__(self) -> None:
        self.watchdog = Watchdog(cast(Any, self.source), 5.0, lambda: self.now)

    def pass_s(self, seconds: int, position: int = 5) -> list[str]:
        """What was done in these seconds, in which the partition stands at `position`."""
        self.source.done.clear()
        for _ in range(seconds):
            self.now += 1
            assert self.watchdog.is_due()
            self.watchdog.look({0: position})
        return self.source.done


def test_a_partition_that_moves_or_has_nothing_to_read_is_let_alone() -> None:
    scene = Scene(Source())
    assert [scene.pass_s(4, position) for position in range(10)] == [[]] * 10
    assert scene.pass_s(30, position=10) == []


def test_a_partition_that_nobody_can_read_is_begun_anew_and_then_declared_halted() -> None:
    scene = Scene(Source())
    assert scene.pass_s(6) == ["begin_anew"]
    assert scene.watchdog.halted == {}
    assert scene.pass_s(5) == ["probe"]
    assert scene.watchdog.halted == {0: 5}
    assert scene.pass_s(30) == []
    scene.pass_s(1, position=6)
    assert scene.watchdog.halted == {}, "it moves again"


def test_a_client_that_alone_does_not_get_it_is_made_anew() -> None:
    scene = Scene(Source(found="record"))
    assert scene.pass_s(11) == ["begin_anew", "probe", "renew"]
    assert scene.watchdog.halted == {}


def test_markers_at_the_end_of_the_log_are_no_stall() -> None:
    scene = Scene(Source(found="end"))
    assert scene.pass_s(11) == ["begin_anew", "probe"]
    assert scene.pass_s(60) == []
    scene.source.end = 11
    assert scene.pass_s(10) == ["begin_anew", "probe"], "something more may have come"


def test_a_partition_that_has_gone_is_forgotten() -> None:
    scene = Scene(Source())
    scene.pass_s(11)
    scene.now += 1
    scene.watchdog.look({})
    assert scene.watchdog.halted == {}
