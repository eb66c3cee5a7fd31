"""A worker finds its bundle without MLflow: in a directory, in the registry's folder, on a tracking server."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tenacity import wait_none

from riskstream.models.bundle import BundleError, load_bundle
from riskstream.models.versions import Label
from riskstream.workers.errors import RegistryError, Unavailable, UnknownVersion
from riskstream.workers.registry.operations import Registry, approve, make_live, register, retire
from riskstream.workers.registry.place import Folder, Server, locate
from riskstream.workers.registry.source import approved, bundle_directory, kept
from riskstream.workers.registry.tracking_server import ATTEMPTS, LIMITS, TrackingServer
from riskstream.workers.settings import load_settings
from riskstream.workers.settings_sources import SettingsError
from tests.support.registry import proven, registry_at, signed, written
from tests.support.tiny_bundle import Table
from tests.support.tracking_server import FakeServer, tracking_server

V1, V2 = Label("tiny", "1.0.0"), Label("tiny", "1.1.0")


@pytest.fixture(scope="session")
def filled(empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny@1.0.0 is approved, tiny@1.1.0 proposed."""
    place = tmp_path_factory.mktemp("filled")
    root = Path(shutil.copytree(empty_registry, place / "registry"))
    made = registry_at(Folder(root))
    register(made, written(place / "one", proven()), signed())
    approve(made, V1, signed())
    register(made, written(place / "two", proven("1.1.0", data="01")), signed())
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "registry"))


@pytest.fixture
def registry(root: Path) -> Registry:
    return registry_at(Folder(root))


@pytest.fixture
def server(root: Path) -> Iterator[FakeServer]:
    with tracking_server(root) as fake:
        yield fake


@pytest.fixture
def start(server: FakeServer, tmp_path: Path) -> Callable[[Label], Path]:
    """What a worker does when it starts."""

    def run(label: Label = V1, **place: str) -> Path:
        client = TrackingServer(Server(server.url, **place), timeout_s=5, wait=wait_none())
        return kept(client, label, tmp_path / "cache", Table())

    return run


def test_a_directory_is_a_directory(tmp_path: Path) -> None:
    assert bundle_directory(load_settings(bundle=tmp_path / "a@1.0.0"), Table()) == tmp_path / "a@1.0.0"


def test_an_approved_bundle_is_read_from_the_registrys_folder(root: Path) -> None:
    settings = load_settings(bundle="tiny@1.0.0", registry_uri=str(root))
    assert load_bundle(bundle_directory(settings, Table()), Table()).label == "tiny@1.0.0"


@pytest.mark.parametrize("label", [V2, Label("tiny", "7.0.0"), Label("nobody", "1.0.0")])
def test_what_is_not_approved_is_not_in_the_folder(root: Path, label: Label) -> None:
    with pytest.raises(
        RegistryError, match=f"{label} is neither approved nor live.*`riskstream model approve {label}`"
    ):
        approved(root, label)


def test_an_approved_bundle_is_fetched_from_a_server_once(start: Callable[..., Path], server: FakeServer) -> None:
    assert load_bundle(start(), Table()).label == "tiny@1.0.0"
    fetched = len([path for path in server.asked if "/artifacts/" in path])
    assert fetched == len(LIMITS)
    assert start() == start()
    assert len([path for path in server.asked if "/artifacts/" in path]) == fetched


def test_what_is_live_may_run_and_what_is_replaced_too(start: Callable[..., Path], registry: Registry) -> None:
    make_live(registry, V1, signed())
    approve(registry, V2, signed())
    make_live(registry, V2, signed())
    assert start(V1).name == "1.0.0"
    assert start(V2).name == "1.1.0"


def test_a_server_that_is_away_at_a_restart_does_no_harm(start: Callable[..., Path], server: FakeServer) -> None:
    before = start()
    server.failing = [503] * ATTEMPTS
    assert start() == before


def test_a_server_that_is_away_at_the_first_start_is_told(start: Callable[..., Path], server: FakeServer) -> None:
    server.failing = [503] * ATTEMPTS
    with pytest.raises(Unavailable, match="HTTP status 503"):
        start()
    assert len(server.asked) == ATTEMPTS


def test_a_server_that_nobody_listens_at_is_away(tmp_path: Path) -> None:
    client = TrackingServer(Server("http://127.0.0.1:9"), wait=wait_none())
    with pytest.raises(Unavailable, match="refused"):
        kept(client, V1, tmp_path, Table())


def test_a_short_failure_is_not_noticed(start: Callable[..., Path], server: FakeServer) -> None:
    server.failing = [500, 502, 429]
    assert start().is_dir()


def test_a_copy_of_what_was_retired_since_is_not_run(start: Callable[..., Path], registry: Registry) -> None:
    start()
    retire(registry, V1, signed(why="wrong"))
    with pytest.raises(RegistryError, match="is retired, and a worker runs what is approved or live"):
        start()


def test_what_is_proposed_is_not_run(start: Callable[..., Path]) -> None:
    with pytest.raises(RegistryError, match=r"is proposed.*`riskstream model approve tiny@1\.1\.0`"):
        start(V2)


@pytest.mark.parametrize("label", [Label("tiny", "7.0.0"), Label("nobody", "1.0.0")])
def test_what_does_not_exist_is_told(start: Callable[..., Path], label: Label) -> None:
    with pytest.raises(UnknownVersion, match=f"{label} is not registered"):
        start(label)


def test_a_changed_copy_is_not_run(start: Callable[..., Path]) -> None:
    manifest = start() / "bundle.json"
    manifest.write_text(manifest.read_text().replace("0.5", "0.4"))
    with pytest.raises(RegistryError, match=r"is not tiny@1\.0\.0 as it was registered; delete it"):
        start()


# A file of the bundle -> what is said when somebody changed it on the server.
CHANGED = {
    "bundle.json": (RegistryError, "another bundle.json than was registered"),
    "model.onnx": (BundleError, "sha256"),
}


@pytest.mark.parametrize("file", CHANGED)
def test_changed_artefacts_are_not_run_and_not_kept(
    start: Callable[..., Path], root: Path, tmp_path: Path, file: str
) -> None:
    for path in (root / "artifacts").rglob(file):
        path.write_bytes(path.read_bytes().replace(b"0.5", b"0.4") + b" ")
    kind, told = CHANGED[file]
    with pytest.raises(kind, match=told):
        start()
    assert list((tmp_path / "cache").rglob("*.onnx")) == []


def test_an_answer_cut_off_is_asked_for_again(start: Callable[..., Path], server: FakeServer) -> None:
    server.cut = 20
    with pytest.raises(Unavailable, match="bytes early"):
        start()
    assert len(server.asked) == ATTEMPTS


def test_an_answer_too_large_is_not_read(
    start: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(LIMITS, "model.onnx", 1000)
    with pytest.raises(RegistryError, match="larger than"):
        start()


def test_a_redirect_is_not_followed(start: Callable[..., Path], server: FakeServer) -> None:
    server.failing = [302]
    with pytest.raises(RegistryError, match="HTTP status 302; is it an MLflow server"):
        start()


def test_files_that_the_server_does_not_hand_out_are_told(start: Callable[..., Path], server: FakeServer) -> None:
    server.scheme = "s3://bucket"
    with pytest.raises(RegistryError, match=r"at s3:.*`riskstream model fetch tiny@1\.0\.0 --to DIR`"):
        start()


@pytest.mark.parametrize(
    ("given", "asked"),
    [({"token": "t"}, "Bearer t"), ({"username": "ada", "password": "hunter2"}, "Basic YWRhOmh1bnRlcjI=")],
)
def test_a_worker_says_who_it_is(
    start: Callable[..., Path], server: FakeServer, given: dict[str, str], asked: str
) -> None:
    server.authorization = asked
    with pytest.raises(RegistryError, match=r"refuses this worker.*RISKSTREAM_REGISTRY_TOKEN"):
        start()
    assert start(**given).is_dir()


def test_a_cache_that_cannot_be_written_is_told(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(BundleError, match="set RISKSTREAM_REGISTRY_CACHE to a directory that can be written"):
        kept(TrackingServer(Server(server.url)), V1, tmp_path / "cache", Table())


def test_places() -> None:
    assert locate("models/registry", None) == Folder(Path("models/registry"))
    assert locate("file:///srv/my%20models", None) == Folder(Path("/srv/my models"))
    assert locate("http://host:5000/mlflow/", None) == Server("http://host:5000/mlflow")
    assert locate("https://ada:p%40w@host", SecretStr("t")) == Server("https://host", "ada", "p@w", "t")
    assert "p@w" not in repr(locate("https://ada:p%40w@host", None))
    for wrong in ("sqlite:///x.db", "s3://bucket", "http://", "ftp://host"):
        with pytest.raises(SettingsError, match="RISKSTREAM_REGISTRY_URI"):
            locate(wrong, None)
