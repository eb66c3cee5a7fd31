"""Where settings come from besides plain variables, and what is said when they are wrong."""

import difflib
import os
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

PREFIX = "RISKSTREAM_"
SECRETS_DIR = f"{PREFIX}SECRETS_DIR"
OWN_PREFIXES = tuple(PREFIX + word for word in ("LOCAL_", "DEMO_", "TEST_", "BENCH_"))


class SettingsError(Exception):
    """The settings cannot be used. `problems` has one line for each reason; no line shows a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class FileSource(PydanticBaseSettingsSource):
    """Values from files: the one that `RISKSTREAM_<NAME>_FILE` names, else `<name>` in `RISKSTREAM_SECRETS_DIR`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = value_file(field_name)
        return (None if path is None else _read(path, field_name)), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def variable(name: str) -> str:
    return PREFIX + name.upper()


def value_file(name: str) -> Path | None:
    """The file that holds the value of a setting, if one was named or is there."""
    named = os.environ.get(f"{variable(name)}_FILE")
    if named:
        return Path(named)
    directory = os.environ.get(SECRETS_DIR)
    path = Path(directory, name) if directory else None
    return path if path and path.is_file() else None


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise SettingsError([f"{variable(name)}_FILE: cannot read {path}: {reason}"]) from None


def origin(name: str) -> str:
    """Where a setting's value comes from, in words."""
    if os.environ.get(variable(name)):
        return variable(name)
    path = value_file(name)
    return f"file {path}" if path else "default"


def unknown_variables(settings: type[BaseSettings]) -> list[str]:
    """Set variables with our prefix that are no setting. Not an error by itself: a newer version may know them."""
    known = {variable(name) for name in settings.model_fields}
    known |= {f"{name}_FILE" for name in known} | {SECRETS_DIR}
    ours = (name for name in os.environ if name.startswith(PREFIX) and not name.startswith(OWN_PREFIXES))
    return sorted(name for name in ours if name not in known)


def misspelled(settings: type[BaseSettings]) -> list[str]:
    """A problem for each unknown variable that is close to a setting: it is a typo, and would be ignored in silence."""
    known = [variable(name) for name in settings.model_fields]
    close = {name: difflib.get_close_matches(name, known, 1, 0.9) for name in unknown_variables(settings)}
    return [f"{name}: there is no such setting; did you mean {match[0]}?" for name, match in close.items() if match]


def is_secret(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return SecretStr in (field.annotation, *get_args(field.annotation)) or (
        isinstance(extra, dict) and "secret" in extra
    )


def allowed(field: FieldInfo) -> str:
    """What a setting may be, in words: for the error message and the README's table."""
    kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if kind is not type(None)]
    choices = [choice for kind in kinds for choice in (kind, *get_args(kind)) if isinstance(choice, str)]
    if choices:
        return ", ".join(dict.fromkeys(choices))
    if bool in kinds:
        return "true, false"
    bounds = _bounds(field)
    if "ge" in bounds and "le" in bounds:
        return f"{bounds['ge']} to {bounds['le']}"
    words = {"ge": "at least", "gt": "more than", "le": "at most"}
    return " and ".join(f"{words[key]} {value}" for key, value in bounds.items() if key in words)


def _bounds(field: FieldInfo) -> dict[str, Any]:
    return {key: getattr(item, key) for item in field.metadata for key in ("gt", "ge", "le") if hasattr(item, key)}


def problems(settings: type[BaseSettings], error: ValidationError) -> list[str]:
    """One line for each thing that is wrong: the variable, why, what is allowed. Values of secrets are not shown."""
    items = error.errors(include_url=False, include_context=False)
    return [_problem(settings, item) for item in items if item["type"] != "default_factory_not_called"]


def _problem(settings: type[BaseSettings], item: Any) -> str:
    reason = str(item["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    name = str(item["loc"][0]) if item["loc"] else ""
    field = settings.model_fields.get(name)
    if field is None:
        return f"{variable(name)}: there is no such setting" if name else _with_variables(settings, reason)
    line = f"{variable(name)}: {reason}"
    if not is_secret(field) and isinstance(item["input"], str | int | float):
        line += f"; it is {str(item['input'])[:80]!r}"
    choices = allowed(field)
    return f"{line}. Allowed: {choices}." if choices else f"{line}."


def _with_variables(settings: type[BaseSettings], reason: str) -> str:
    """A rule about several settings, each written as its variable."""
    names = "|".join(settings.model_fields)
    return re.sub(rf"\b({names})\b", lambda match: variable(match[0]), reason) + "."
