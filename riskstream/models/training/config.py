"""What to train and how: a TOML file as one frozen value. `riskstream train --help` shows an example."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from riskstream.models.bundle import Name, Version

Kind = Literal["xgboost", "lightgbm", "random_forest", "logistic"]
Parameter = str | int | float | bool
Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(gt=0, lt=1)]
MinorUnits = Annotated[int, Meta(ge=0)]


class ConfigError(ValueError):
    """The file cannot be used. The message names the key and says what is allowed."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: a misspelt key is an error, never ignored."""


class Model(_Section, frozen=True):
    """`parameters` go to the library as they are, on top of our defaults. Logistic regression grows no `trees`.

    - `class_weight`: `balanced` lets each class weigh the same in total; calibration then puts probabilities right.
    - `early_stopping`: stop when so many trees in a row brought nothing on the latest fifth of the training time, then
      learn from all of it with the number of trees found. 0: grow all. Only for xgboost and lightgbm.
    """

    kind: Kind = "xgboost"
    trees: Positive = 300
    parameters: dict[str, Parameter] = {}
    class_weight: Literal["none", "balanced"] = "none"
    early_stopping: Annotated[int, Meta(ge=0)] = 0


class Validation(_Section, frozen=True):
    """`folds`: learn from the past and be judged on what came next, so many times in the training time. 0: never."""

    folds: Annotated[int, Meta(ge=0, le=20)] = 0


class Search(_Section, frozen=True):
    """Tries `trials` sets of parameters on the folds. With `minutes` the result depends on the machine's speed."""

    trials: Annotated[int, Meta(ge=0)] = 0
    minutes: Annotated[float, Meta(gt=0)] | None = None


class Precision(_Section, frozen=True, tag_field="by", tag="precision"):
    """The lowest threshold from which on this share is fraud."""

    value: Share


class Recall(_Section, frozen=True, tag_field="by", tag="recall"):
    """The highest threshold that reaches this share of all fraud."""

    value: Share


class Alerts(_Section, frozen=True, tag_field="by", tag="alerts_per_day"):
    """As many events a day as people can look at, on average."""

    value: Annotated[float, Meta(gt=0)]


class Top(_Section, frozen=True, tag_field="by", tag="share"):
    """This share of all events."""

    value: Share


class Cost(_Section, frozen=True, tag_field="by", tag="cost"):
    """Where the sum of costs is least."""


Rule = Precision | Recall | Alerts | Top | Cost


class Thresholds(_Section, frozen=True):
    """A rule for each threshold, applied to the calibration part."""

    review: Rule = Top(value=0.02)
    decline: Rule = Precision(value=0.8)


class Costs(_Section, frozen=True):
    """What decisions cost, in minor units. A fraud that is approved costs its amount; a review finds the truth."""

    review: MinorUnits = 300
    insult: MinorUnits = 2_000  # an honest customer is declined


class TrainConfig(_Section, frozen=True):
    """The same value and the same data give the same bundle, byte for byte, apart from `created_at`.

    `data` is a data set's directory, relative to the file. `bootstrap`: resamples for each interval; 0: no intervals.
    """

    data: str = ""
    name: Name = "payment-risk"
    version: Version = "1.0.0"
    seed: Annotated[int, Meta(ge=0, lt=1 << 31)] = 7
    model: Model = Model()
    validation: Validation = Validation()
    search: Search = Search()
    calibration: Literal["auto", "platt", "isotonic"] = "auto"
    thresholds: Thresholds = Thresholds()
    costs: Costs = Costs()
    alerts_per_day: Positive = 100  # the k of precision at k
    bootstrap: Annotated[int, Meta(ge=0, le=10_000)] = 200

    def __post_init__(self) -> None:
        if self.model.early_stopping and self.model.kind not in ("xgboost", "lightgbm"):
            raise ValueError(f"model.early_stopping: a {self.model.kind} does not grow tree by tree; leave it out")
        if self.search.trials and not self.validation.folds:
            raise ValueError("validation.folds: a search needs at least one fold to judge on")

    @property
    def flat(self) -> dict[str, str | int | float]:
        """Every value by its dotted key, for the bundle's manifest."""
        return dict(_flat("", msgspec.to_builtins(self)))


def load_config(path: Path, instead: Mapping[str, str | None] | None = None) -> TrainConfig:
    """Reads a TOML file; values of `instead` that are not None take the place of its own. Raises ConfigError."""
    given = {key: value for key, value in (instead or {}).items() if value is not None}
    try:
        return msgspec.convert(tomllib.loads(path.read_text()) | given, TrainConfig)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_with_key(str(error))}") from error


def _with_key(message: str) -> str:
    """msgspec says `... - at `$.model.trees``; people look for `model.trees: ...`."""
    what, _, where = message.partition(" - at `$")
    key = where.rstrip("`").lstrip(".")
    return f"{key}: {what}" if key else what


def _flat(prefix: str, value: object) -> list[tuple[str, str | int | float]]:
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in _flat(f"{prefix}.{key}" if prefix else key, part)]
    if isinstance(value, bool) or value is None:
        return [(prefix, str(value).lower())]
    return [(prefix, value if isinstance(value, int | float) else str(value))]
