"""JSON lines as pieces of columns. A line that is no JSON object, or is ambiguous, says so as a dead letter would."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from riskstream.models.dataset.sources import Lines, Piece, columns_of_objects, line_pieces
from riskstream.models.dataset.validity import Judge
from riskstream.schemas import exact
from riskstream.schemas.dead_letter import Rejection
from riskstream.schemas.decode import Rules
from riskstream.schemas.explain import REFUSALS, explain
from riskstream.schemas.reader import plainly_objects


class JsonLines:
    """Reads files of JSON lines. `types` of the contract's fields: they are what was on the wire; None: foreign."""

    def __init__(self, rules: Rules, judge: Judge, types: Mapping[str, type] | None) -> None:
        self._rules, self._judge, self._types = rules, judge, types

    def pieces(self, path: Path, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Piece]:
        """Pieces with these columns, and with the optional ones that are there. Raises DatasetError."""
        for lines in line_pieces(path):
            yield self._piece(lines, columns, optional)

    def _piece(self, lines: Lines, columns: Sequence[str], optional: Sequence[str]) -> Piece:
        known = frozenset((*columns, *optional))
        objects: list[dict[str, Any]] = []
        kept: list[int] = []
        refused: dict[int, Rejection] = {}
        for at, (line, good) in enumerate(zip(lines.lines, plainly_objects(lines.lines), strict=True)):
            plain = _plainly(line) if good and len(line) <= self._rules.max_bytes else None
            found = self._exactly(line, known) if plain is None else plain
            if isinstance(found, Rejection):
                refused[lines.first + at] = found
            else:
                objects.append(found)
                kept.append(at)
        extra = [name for name in optional if name not in columns and any(name in each for each in objects)]
        frame, odd = columns_of_objects(objects, [*dict.fromkeys((*columns, *extra))], self._types or {})
        row = np.array(kept, np.int64) + lines.first
        return Piece(frame, row, odd, refused, [lines.lines[at] for at in kept] if self._types is not None else None)

    def _exactly(self, line: bytes, known: frozenset[str]) -> dict[str, Any] | Rejection:
        """The object in a line that is not plainly one, or why it is none."""
        if self._types is not None and isinstance(verdict := self._judge.judge(line), Rejection):
            return verdict
        if len(line) > self._rules.max_bytes:
            return Rejection("too_large", "", f"the line has {len(line)} bytes, allowed are {self._rules.max_bytes}")
        if rejection := exact.foreign(line) or exact.too_deep(line):
            return rejection
        try:
            found: dict[str, Any] = msgspec.json.decode(line, type=dict)
        except REFUSALS as error:
            return explain(line, error, range(0))
        return exact.named_twice(line, known) or found


def _plainly(line: bytes) -> dict[str, Any] | None:
    """The object in a line that is one, unless a number in it is out of range."""
    try:
        return msgspec.json.decode(line, type=dict)
    except REFUSALS:
        return None
