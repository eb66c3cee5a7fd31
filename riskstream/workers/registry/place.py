"""Where the registry is: a folder of this machine, or an MLflow tracking server."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import SecretStr

from riskstream.workers.settings_sources import PREFIX, SettingsError


@dataclass(frozen=True)
class Folder:
    """The embedded registry: `mlflow.db`, `artifacts/`, `lock`, and `bundles/` with what may run."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)


@dataclass(frozen=True)
class Server:
    """A tracking server, and how to be known there. `url` holds no password."""

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.url

    @property
    def authorization(self) -> str:
        """The header's value; empty if the server asks nobody."""
        if self.token:
            return f"Bearer {self.token}"
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}" if self.username else ""


Place = Folder | Server


def locate(uri: str, token: SecretStr | None) -> Place:
    """What the settings name. SettingsError for other schemes, and for an address that has none."""
    if "://" not in uri:
        return Folder(Path(uri))
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Folder(Path(unquote(parts.path)))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = "should be a folder, or http:// or https:// and the address of an MLflow tracking server"
        raise SettingsError([f"{PREFIX}REGISTRY_URI: {what}."])
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    secret = token.get_secret_value() if token else ""
    return Server(url, unquote(parts.username or ""), unquote(parts.password or ""), secret)
