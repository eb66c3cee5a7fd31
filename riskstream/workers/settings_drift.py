"""Settings of what workers count, and of the sidecar that adds it up."""

import re
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class WindowKind(NamedTuple):
    """Windows of one length, one of which ends at every multiple of the step."""

    length_ms: int
    step_ms: int


def parse_windows(given: object) -> object:
    """`5m,1h/5m`: five minutes end to end, and an hour every five minutes."""
    return [_window(part) for part in given.split(",")] if isinstance(given, str) else given


def _window(text: str) -> WindowKind:
    found = re.fullmatch(r"([1-9]\d{0,5})([smhd])(?:/([1-9]\d{0,5})([smhd]))?", text.strip())
    if not found:
        raise ValueError(f"{text.strip()!r} is no window; such are 5m (five minutes) and 1h/5m (an hour, every 5 m)")
    length = int(found[1]) * UNITS_MS[found[2]]
    step = int(found[3]) * UNITS_MS[found[4]] if found[3] else length
    if length % step:
        raise ValueError(f"{text.strip()!r}: the length must be a multiple of the step")
    return WindowKind(length, step)


class StatsSettings(BaseModel):
    """Stats for the sidecar"""

    stats: bool = Field(True, description="workers count what they score, for `riskstream drift`")
    stats_topic: Topic = Field("scoring-stats", description="topic of the counts")
    stats_slot_s: int = Field(60, ge=1, le=86_400, description="length of a slot of event time, in seconds")
    stats_interval_ms: int = Field(1_000, ge=50, le=60_000, description="a worker tells what it counted so often")
    stats_segment: str = Field(
        "",
        pattern=r"^([a-z][a-z0-9_]{0,62})?$",
        description="field of the event by whose values is counted separately, such as `channel`; never an id",
    )


class DriftSettings(BaseModel):
    """The sidecar"""

    drift_group: Name = Field(
        "riskstream-drift", description="consumer group of the sidecar; one instance works, the others stand by"
    )
    drift_topic: Topic = Field("drift-reports", description="topic of its reports")
    drift_state_topic: Topic = Field("drift-state", description="topic of what its verdicts have learned")
    drift_windows: Annotated[list[WindowKind], NoDecode, BeforeValidator(parse_windows)] = Field(
        default_factory=lambda: [WindowKind(300_000, 300_000), WindowKind(3_600_000, 300_000)],
        min_length=1,
        max_length=8,
        description="windows of event time, `length` or `length/step`, such as `5m,1h/5m`",
        json_schema_extra={"default_text": "`5m,1h/5m`"},
    )
    drift_lateness_s: int = Field(
        60, ge=0, le=86_400, description="a window waits so long, in event time, for events that are late"
    )
    drift_idle_s: int = Field(
        30, ge=1, le=86_400, description="windows do not wait for a partition to which nothing came for so long"
    )
    drift_behind_s: int = Field(
        600,
        ge=1,
        le=86_400,
        description="nor for one whose events no worker has scored for so long: reports tell of them as unseen",
    )
    drift_bundles: Path | None = Field(
        None, description="directory with the bundles of all models that workers run; unset: only `RISKSTREAM_BUNDLE`"
    )
    drift_host: str = Field("127.0.0.1", min_length=1, description="address for its page, `/metrics`, `/livez`")
    drift_port: int = Field(8_090, ge=0, le=65_535, description="its port; 0: any free one, which the log names")
    drift_webhook_url: str | None = Field(
        None,
        pattern=r"^https?://",
        repr=False,
        description="is sent a POST for every alert that begins or ends",
        json_schema_extra={"secret": True},
    )
