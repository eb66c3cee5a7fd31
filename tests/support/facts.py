"""Facts small enough to read: told apart by their offsets, the only word that the workers' own rules look at."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from riskstream.schemas.facts import COMMON_WORDS, WORD, FactLayout
from riskstream.schemas.texts import Texts
from riskstream.workers.user_index import NOBODY
from riskstream.workers.working_set import Gathered, WorkingSet

LAYOUT = FactLayout("tiny", 1, (*COMMON_WORDS, "amount"))


def facts(*offsets: int) -> NDArray[np.int64]:
    """One fact per offset."""
    rows = np.zeros((len(offsets), len(LAYOUT.words)), WORD)
    rows[:, 0] = offsets
    rows[:, 1:] = rows[:, :1] + 1_000
    return rows


def packed(*offsets: int) -> bytes:
    return facts(*offsets).tobytes()


def offsets_of(raw: bytes | bytearray) -> list[int]:
    """The offsets of packed facts."""
    return [int(offset) for offset in np.frombuffer(raw, WORD).reshape(-1, len(LAYOUT.words))[:, 0]]


def gather_known(
    memory: WorkingSet, numbers: Sequence[int], users: Sequence[bytes], own: NDArray[np.int64]
) -> Gathered:
    """As a worker gathers a batch, with a Redis that holds nothing of users who are not in memory."""
    for number, user in dict.fromkeys(zip(numbers, users, strict=True)):
        if not is_in_memory(memory, number, user):
            memory.load(memory.partitions[number], [user], [None])
    of, texts = np.array(numbers), Texts.of(users)
    return memory.gather(memory.find(of, texts), np.empty(0, np.int64), of, texts, own)


def is_in_memory(memory: WorkingSet, number: int, user: bytes) -> bool:
    (seat,) = memory.find(np.array([number]), Texts.of([user]))
    return int(seat) != NOBODY
