"""The judge: from what went in and what came out, says what was kept and what was broken. Knows no worker.

Each check adds findings under one heading of the verdict; a finding is one line: partition, offset, expected, seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.reading import Place, Seen
from tests.faults.segments import Commit, Transaction

HEADINGS = ("lost", "doubled", "reordered", "torn", "differing")
SHOWN = 5


@dataclass
class Verdict:
    """Counts by heading, and the first findings of each."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(HEADINGS, 0))
    findings: dict[str, list[str]] = field(default_factory=dict)
    degraded: int = 0

    @property
    def holds(self) -> bool:
        return not any(self.counts.values())

    def add(self, heading: str, finding: str) -> None:
        self.counts[heading] += 1
        found = self.findings.setdefault(heading, [])
        if len(found) < SHOWN:
            found.append(finding)

    @property
    def line(self) -> str:
        return " ".join(f"{heading}={count}" for heading, count in self.counts.items())

    def explanation(self) -> list[str]:
        return [f"{heading}: {finding}" for heading in HEADINGS for finding in self.findings.get(heading, ())]


class Ends(NamedTuple):
    """First and next offset of each input partition, as the log has them, and the places that hold no record."""

    start: Mapping[int, int]
    end: Mapping[int, int]
    gaps: frozenset[Place] = frozenset()

    def places(self) -> Iterable[Place]:
        return (
            (number, offset)
            for number, end in self.end.items()
            for offset in range(self.start[number], end)
            if (number, offset) not in self.gaps
        )

    def holds(self, place: Place) -> bool:
        number, offset = place
        return self.start.get(number, 0) <= offset < self.end.get(number, 0) and place not in self.gaps


def conservation(verdict: Verdict, ends: Ends, outs: Sequence[Seen]) -> None:
    """Each input record has exactly one committed output, on its own partition, and nothing else came out."""
    by_place: dict[Place, Seen] = {}
    for out in outs:
        if not ends.holds(out.of):
            verdict.add("doubled", f"{_where(out)} is of input {out.of}, which nobody fed")
        elif out.of in by_place:
            verdict.add(
                "doubled", f"input {out.of}: expected one output, seen {_where(by_place[out.of])}, {_where(out)}"
            )
        if out.partition != out.of[0]:
            verdict.add("reordered", f"{_where(out)}: expected on partition {out.of[0]}, that of its input")
        by_place[out.of] = out
    for place in ends.places():
        if place not in by_place:
            verdict.add("lost", f"input {place}: expected one output, seen none")


def first_ones(verdict: Verdict, outs: Sequence[Seen]) -> list[Seen]:
    """The first output of each input record, for workers who may repeat some; a repetition says the same again."""
    first: dict[Place, Seen] = {}
    for out in outs:
        other = first.setdefault(out.of, out)
        if (out.topic, out.partition, out.digest) != (other.topic, other.partition, other.digest):
            verdict.add("differing", f"input {out.of}: {_where(out)} does not repeat {_where(other)}")
    return list(first.values())


def order(verdict: Verdict, outs: Sequence[Seen]) -> None:
    """On each output partition, outputs lie in their inputs' order."""
    last: dict[tuple[str, int], Seen] = {}
    for out in outs:
        before = last.get((out.topic, out.partition))
        if before and out.of[1] < before.of[1]:
            verdict.add("reordered", f"{_where(out)} of input {out.of} comes after {_where(before)} of {before.of}")
        last[out.topic, out.partition] = out


def determinism(verdict: Verdict, outs: Sequence[Seen], calm: Sequence[Seen]) -> None:
    """Outputs equal those of a calm run but for clocks. A score that says it is degraded may differ; it is counted."""
    expected = {out.of: out for out in calm}
    for out in calm:
        if out.degraded:
            verdict.add("differing", f"calm run, input {out.of}: degraded {out.degraded} although nothing was wrong")
    for out in outs:
        other = expected.get(out.of)
        if out.degraded:
            verdict.degraded += 1
        elif other is None or other.digest != out.digest or other.scored != out.scored:
            verdict.add(
                "differing",
                f"input {out.of}: expected vector {other and other.vector}, seen {out.vector} at {_where(out)}",
            )


def atomicity(
    verdict: Verdict, ends: Ends, commits: Sequence[Commit], written: Mapping[Place, tuple[str, Transaction]]
) -> None:
    """Every step of the committed offsets is one transaction, and the outputs of the step's inputs are in it.

    `written`: by input record, the name of the output partition and the transaction that holds the output.
    """
    at = dict(ends.start)
    for commit in commits:
        if commit.producer < 0:
            verdict.add("torn", f"offsets {commit.offsets} were committed outside of a transaction")
        for number, offset in commit.offsets.items():
            if offset <= at[number]:
                verdict.add("torn", f"partition {number}: committed offset {at[number]} went back to {offset}")
            _step(verdict, commit, number, range(at[number], offset), written)
            at[number] = max(at[number], offset)
    for number, end in ends.end.items():
        if at[number] != end:
            verdict.add("torn", f"partition {number}: expected committed offset {end} at the end, seen {at[number]}")


def _step(
    verdict: Verdict, commit: Commit, number: int, step: range, written: Mapping[Place, tuple[str, Transaction]]
) -> None:
    used: dict[str, Transaction] = {}
    for offset in step:
        found = written.get((number, offset))
        if found is None:
            continue  # lost, which is said elsewhere
        name, transaction = found
        expected = used.setdefault(name, transaction)
        if transaction is not expected or transaction.producer != commit.producer:
            verdict.add(
                "torn",
                f"input {(number, offset)}: its output on {name} is in another transaction (producer "
                f"{transaction.producer}) than the commit of offsets {step.start} to {step.stop} ({commit.producer})",
            )


def dangling(verdict: Verdict, open_: Sequence[str]) -> None:
    for description in open_:
        verdict.add("torn", f"a transaction was left open: {description}")


def visibility(verdict: Verdict, outs: Sequence[Seen], uncommitted: Iterable[tuple[str, int, int]]) -> None:
    """What committed readers see is a part of what uncommitted readers see."""
    visible = set(uncommitted)
    for out in outs:
        if (out.topic, out.partition, out.offset) not in visible:
            verdict.add("torn", f"{_where(out)} is read at read_committed, not at read_uncommitted")


def steadiness(
    verdict: Verdict,
    told: Mapping[tuple[str, int], tuple[int, int]],
    final: Mapping[tuple[str, int], tuple[int, int]],
) -> None:
    """What a consumer was told during the run is what the topics say at the end."""
    for which, last in final.items():
        if told.get(which) != last:
            verdict.add("differing", f"{which}: read during the run {told.get(which)}, read at the end {last}")


def _where(out: Seen) -> str:
    return f"{out.topic}[{out.partition}]@{out.offset}"
