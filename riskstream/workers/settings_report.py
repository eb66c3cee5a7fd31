"""The settings in words: the README's table, and what holds in this environment and where each value came from."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from rich.table import Table

from riskstream.workers.settings import SECTIONS, Settings
from riskstream.workers.settings_sources import allowed, is_secret, origin, variable

MASK = "***"


def markdown_table() -> str:
    """Every setting by section. `python -m riskstream.workers.settings_report README.md` renews the README with it."""
    return "\n".join(line for section in SECTIONS for line in _section(section))


def effective_table(settings: Settings) -> Table:
    """What holds, and where it came from. Secrets are masked."""
    table = Table("setting", "value", "from", title="Effective settings", title_justify="left")
    for section in SECTIONS:
        table.add_section()
        for name, field in section.model_fields.items():
            table.add_row(variable(name), shown(field, getattr(settings, name)), origin(name))
    return table


def shown(field: FieldInfo, value: Any) -> str:
    """A value as it may be shown: passwords are masked, also in addresses and passed-through keys."""
    if value is None or value == {}:
        return ""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, dict):
        return ", ".join(f"{key}={MASK if _sounds_secret(key) else item}" for key, item in value.items())
    return mask_url(str(value)) if is_secret(field) else str(value)


def mask_url(url: str) -> str:
    """The address without its password, wherever it stands: before the @ or in the query. A path is as it is."""
    scheme, address, rest = url.partition("://")
    if not address:
        return url
    credentials, at, place = rest.rpartition("@")
    place, _, query = place.partition("?")
    user = credentials.partition(":")[0]
    shown_credentials = f"{user}:{MASK}@" if at else ""
    return f"{scheme}://{shown_credentials}{place}" + (f"?{MASK}" if query else "")


def _sounds_secret(key: str) -> bool:
    return any(word in key for word in ("password", "secret", "token", "pem", "sasl.jaas", "oauthbearer.config"))


def _section(section: type[BaseModel]) -> Iterator[str]:
    yield f"**{section.__doc__}**\n"
    yield "| Variable | Default | Allowed | Meaning |"
    yield "|---|---|---|---|"
    for name, field in section.model_fields.items():
        yield f"| `{variable(name)}` | {_default(field)} | {allowed(field)} | {field.description} |"
    yield ""


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default_text" in extra:
        return str(extra["default_text"])
    if field.default_factory is not None or field.default is None:
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


BEGIN, END = "<!-- settings: generated -->", "<!-- settings: end -->"


def with_table(text: str) -> str:
    """The text with the table between its markers made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{markdown_table()}\n{END}{after}"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
