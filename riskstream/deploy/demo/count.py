"""The count: does every record that went in have exactly one answer, and is it the right one?

Pure, and it shares nothing with the workers: it compares what the broker acknowledged with what stands in the output
topics.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Place = tuple[int, int]  # partition and offset of an input record
SCORED = "scored"
SHOWN = 5


class Content(NamedTuple):
    """What an answer says: as planned when its record was sent, or as it stands in an output topic."""

    key: bytes | None
    says: str  # SCORED, or the reason of a dead letter
    about: str | bytes | None  # the event's id, or the dead letter's value


class Answer(NamedTuple):
    """An output record. `origin` is the input record that it names, None if it names none."""

    partition: int
    origin: Place | None
    content: Content


@dataclass
class Verdict:
    """What was found. `says` counts the answers: how many scores, how many dead letters of each reason."""

    sent: int = 0
    says: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    lost: list[Place] = field(default_factory=list)
    doubled: list[Place] = field(default_factory=list)
    misplaced: list[Place] = field(default_factory=list)
    disordered: list[Place] = field(default_factory=list)
    wrong: list[Place] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """A line for each kind of problem; none if all went well."""
        kinds = {
            "records without an answer": self.lost,
            "answers too many": self.doubled,
            "answers in another partition than their record": self.misplaced,
            "scores after that of a later record": self.disordered,
            "answers that do not say what they should": self.wrong,
        }
        unknown = [f"{self.unknown} answers to records that were not sent"] if self.unknown else []
        return unknown + [f"{len(places)} {kind}: {_shown(places)}" for kind, places in kinds.items() if places]

    def __str__(self) -> str:
        scored = self.says[SCORED]
        dead_letters = self.says.total() - scored
        lost, doubled = len(self.lost), len(self.doubled)
        return f"in={self.sent} scored={scored} dead_letters={dead_letters} lost={lost} doubled={doubled}"


def count(sent: Mapping[Place, Content], answers: Iterable[Answer]) -> Verdict:
    """`sent`: where the broker put each record, and what it must lead to. `answers`: in the order of each partition."""
    verdict = Verdict(sent=len(sent))
    missing = set(sent)
    newest = dict.fromkeys((partition for partition, _ in sent), -1)
    for partition, origin, content in answers:
        verdict.says[content.says] += 1
        if origin is None or origin not in sent:
            verdict.unknown += 1
            continue
        if origin not in missing:
            verdict.doubled.append(origin)
        missing.discard(origin)
        if partition != origin[0]:
            verdict.misplaced.append(origin)
        if content != sent[origin]:
            verdict.wrong.append(origin)
        if content.says == SCORED:
            if origin[1] < newest[origin[0]]:
                verdict.disordered.append(origin)
            newest[origin[0]] = max(origin[1], newest[origin[0]])
    verdict.lost = sorted(missing)
    return verdict


def _shown(places: list[Place]) -> str:
    text = ", ".join(f"partition {partition} offset {offset}" for partition, offset in places[:SHOWN])
    return text + (", ..." if len(places) > SHOWN else "")
