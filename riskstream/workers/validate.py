"""Check a file of events against the contract, by the rules that the worker decodes with. For producers."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from riskstream.schemas.dead_letter import REASONS, Rejection
from riskstream.schemas.decode import Rules


class Finding(NamedTuple):
    """A line that a worker would refuse, and why. Holds nothing of the line itself."""

    line: int
    rejection: Rejection


class _Keyed(msgspec.Struct):
    user_id: str = ""


def findings(lines: Iterable[bytes], rules: Rules) -> Iterator[Finding | None]:
    """For each event, one on a line, None if it is good. The key, which a file lacks, is taken to be right."""
    for number, line in enumerate(lines, start=1):
        value = line.rstrip(b"\r\n")
        outcome = rules.judge(_key(value), value)
        yield Finding(number, outcome) if isinstance(outcome, Rejection) else None


def _key(value: bytes) -> bytes | None:
    try:
        return msgspec.json.decode(value, type=_Keyed).user_id.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def report(found: Iterable[Finding | None], show: int) -> tuple[list[str], bool]:
    """The first `show` findings and a summary as lines of text, and whether all was well."""
    reasons: Counter[str] = Counter()
    lines: list[str] = []
    total = 0
    for finding in found:
        total += 1
        if finding is None:
            continue
        reasons[finding.rejection.reason] += 1
        if len(lines) < show:
            field = f" {finding.rejection.field}" if finding.rejection.field else ""
            lines.append(f"line {finding.line}: {finding.rejection.reason}{field}: {finding.rejection.message}")
    bad = sum(reasons.values())
    if bad > len(lines):
        lines.append(f"... and {bad - len(lines)} more")
    lines += [f"{count:8}  {reason}: {REASONS[reason]}" for reason, count in reasons.most_common()]
    return [*lines, f"{total} events, {bad} would be refused"], not bad
