"""Traffic before it becomes payments: one row per event, with positions in the world's arrays."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from riskstream.schemas.payment import CHANNELS, ENTRY_MODES

NONE = -1  # an absent device, place, entry mode or flag

TRAFFIC = np.dtype(
    [
        ("user", "i4"),
        ("time", "i8"),
        ("merchant", "i4"),
        ("amount", "i8"),
        ("channel", "i1"),
        ("entry", "i1"),
        ("present", "i1"),
        ("device", "i4"),
        ("ip", "i1"),
        ("kind", "i1"),
    ]
)
Traffic = NDArray[np.void]


class Channel(IntEnum):
    WEB = CHANNELS.index("web")
    APP = CHANNELS.index("app")
    POS = CHANNELS.index("pos")
    ATM = CHANNELS.index("atm")
    MOTO = CHANNELS.index("moto")


class Entry(IntEnum):
    CHIP = ENTRY_MODES.index("chip")
    CONTACTLESS = ENTRY_MODES.index("contactless")
    SWIPE = ENTRY_MODES.index("swipe")
    MANUAL = ENTRY_MODES.index("manual")
    ECOMMERCE = ENTRY_MODES.index("ecommerce")
    RECURRING = ENTRY_MODES.index("recurring")
