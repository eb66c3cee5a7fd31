"""The registry, on MLflow's own database in a folder: who may do what, and what is left behind."""

from pathlib import Path

import pytest

from riskstream.models.bundle import BundleError, load_bundle
from riskstream.models.lifecycle import Change
from riskstream.models.policy import Policy
from riskstream.models.versions import Label
from riskstream.workers.errors import RegistryError, UnknownVersion
from riskstream.workers.registry.folder import runnable_path
from riskstream.workers.registry.operations import (
    Registry,
    approve,
    fetch,
    make_live,
    register,
    retire,
    version_for,
)  # fmt: skip
from riskstream.workers.registry.place import Folder
from tests.support.registry import METRICS, proven, registry_at, signed, written
from tests.support.tiny_bundle import Table

V1, V2 = Label("tiny", "1.0.0"), Label("tiny", "1.1.0")


@pytest.fixture
def registry(registry_folder: Path) -> Registry:
    return registry_at(Folder(registry_folder))


@pytest.fixture
def registered(registry: Registry, tmp_path: Path) -> Registry:
    """With tiny@1.0.0, proposed."""
    register(registry, written(tmp_path / "one", proven()), signed(why="first"))
    return registry


@pytest.fixture
def two(registered: Registry, tmp_path: Path) -> Registry:
    """With tiny@1.0.0 live and tiny@1.1.0 approved."""
    approve(registered, V1, signed())
    make_live(registered, V1, signed(why="first"))
    register(registered, written(tmp_path / "two", proven("1.1.0", data="01")), signed())
    approve(registered, V2, signed())
    return registered


def states(registry: Registry) -> dict[str, str]:
    return {**registry.store.model("tiny").history.states}


def root_of(registry: Registry) -> Path:
    assert isinstance(registry.place, Folder)
    return registry.place.root


def test_a_registered_bundle_is_proposed_with_who_when_and_why(registered: Registry) -> None:
    model = registered.store.model("tiny")
    assert model.history.states == {"1.0.0": "proposed"}
    assert model.find(V1).proposed == signed(why="first")


def test_the_run_keeps_parameters_metrics_files_and_report(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>fine</p>")
    bundle = written(tmp_path / "one", proven())
    known = register(registry, bundle, signed(), tmp_path / "report.html")
    run = Path(known.stored.source.removeprefix("file://")).parent
    assert (run / "report.html").read_text() == "<p>fine</p>"
    assert load_bundle(run / "bundle", Table()) == load_bundle(bundle, Table())


def test_the_same_bundle_again_is_no_new_version(registered: Registry, tmp_path: Path) -> None:
    again = register(registered, written(tmp_path / "again", proven()), signed("bob"))
    assert again.proposed.by == "ada"
    assert states(registered) == {"1.0.0": "proposed"}


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1", "1.2.0", "2.0.0"])
def test_a_bundle_with_another_version_than_the_rule_says_is_refused(
    registered: Registry, tmp_path: Path, version: str
) -> None:
    wrong = written(tmp_path / "wrong", proven(version, data="01"))
    with pytest.raises(RegistryError, match=r"training data \(minor\), so its version is 1.1.0, not"):
        register(registered, wrong, signed())


def test_training_asks_for_the_version_before_it_writes_the_bundle(registered: Registry) -> None:
    assert version_for(registered, proven("0.0.0", data="01")) == "1.1.0"
    assert version_for(registered, proven("0.0.0", thresholds=Policy(0.4, 0.8))) == "1.0.1"
    assert version_for(registered, proven("0.0.0", name="another")) == "1.0.0"


def test_a_damaged_bundle_is_not_registered(registry: Registry, tmp_path: Path) -> None:
    path = written(tmp_path / "one", proven())
    (path / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="sha256"):
        register(registry, path, signed())
    assert registry.store.models() == []


def test_approved_bundles_lie_where_workers_look(registered: Registry) -> None:
    assert not runnable_path(root_of(registered), V1).exists()
    approve(registered, V1, signed())
    assert load_bundle(runnable_path(root_of(registered), V1), Table()).label == "tiny@1.0.0"


def test_at_most_one_version_is_live_and_rolling_back_is_the_same_command(two: Registry) -> None:
    assert make_live(two, V2, signed(why="better")) == "1.0.0"
    assert states(two) == {"1.0.0": "approved", "1.1.0": "live"}
    assert make_live(two, V1, signed(why="worse")) == "1.1.0"
    assert states(two) == {"1.0.0": "live", "1.1.0": "approved"}


def test_retired_is_for_good_and_no_worker_finds_it(two: Registry) -> None:
    retire(two, V2, signed(why="never"))
    assert not runnable_path(root_of(two), V2).exists()
    with pytest.raises(RegistryError, match=r"tiny@1\.1\.0 is retired, and only what is proposed can become approved"):
        approve(two, V2, signed(why="please"))


def test_what_is_not_approved_cannot_be_live(registered: Registry) -> None:
    with pytest.raises(RegistryError, match=r"is proposed.*first `riskstream model approve tiny@1\.0\.0`"):
        make_live(registered, V1, signed(why="now"))


def test_the_history_names_everybody_and_never_changes(two: Registry) -> None:
    before = two.store.model("tiny").history.steps
    make_live(two, V2, signed("bob", "better", hours=3))
    after = two.store.model("tiny").history.steps
    assert after[:-1] == before
    assert (after[-1].change.by, after[-1].change.why, after[-1].replaced) == ("bob", "better", "1.0.0")
    assert after[-1].change.at == signed(hours=3).at


# A bundle's metrics -> the gate that fails.
FAILING = {
    "parity was not kept": ({"parity_max": 2e-6}, "parity_max: 2e-06, allowed 1e-06"),
    "decisions flipped": ({"flips": 1.0}, "flips: 1, allowed 0"),
    "a check was red": ({"checks_failed": 2.0}, "checks_failed: 2, allowed 0"),
}


@pytest.mark.parametrize("why", FAILING)
def test_a_failed_gate_refuses_whatever_the_reason_given(registry: Registry, tmp_path: Path, why: str) -> None:
    changed, told = FAILING[why]
    register(registry, written(tmp_path / "one", proven(metrics={**METRICS, **changed})), signed())
    with pytest.raises(RegistryError, match=told):
        approve(registry, V1, signed(why="I insist"))
    assert states(registry) == {"1.0.0": "proposed"}
    assert not runnable_path(root_of(registry), V1).exists()


def test_a_bundle_that_was_never_measured_is_refused(registry: Registry, tmp_path: Path) -> None:
    register(registry, written(tmp_path / "one", proven(metrics={})), signed())
    with pytest.raises(RegistryError, match="flips: is not recorded"):
        approve(registry, V1, signed())


def test_a_bundle_whose_smoke_cases_fail_is_refused(registry: Registry, tmp_path: Path) -> None:
    wrong = proven(thresholds=Policy(0.4, 0.8))
    smoke = type(wrong.smoke)(rows=wrong.smoke.rows, expected=(0.5, 0.5))
    register(
        registry, written(tmp_path / "one", type(wrong)(wrong.manifest, wrong.model, wrong.reference, smoke)), signed()
    )
    with pytest.raises(RegistryError, match=r"smoke cases: .*expected 0\.5"):
        approve(registry, V1, signed(why="I insist"))


def test_a_model_worse_than_the_live_one_needs_a_reason(two: Registry, tmp_path: Path) -> None:
    worse = proven("1.2.0", data="02", metrics={**METRICS, "auc": 0.93, "average_precision": 0.595})
    register(two, written(tmp_path / "worse", worse), signed())
    with pytest.raises(RegistryError, match=r"(?s)auc: 0\.9300, live 1\.0\.0 has 0\.9500, margin 0\.01\n--because"):
        approve(two, Label("tiny", "1.2.0"), signed())
    approve(two, Label("tiny", "1.2.0"), signed(why="fewer features"))
    assert states(two)["1.2.0"] == "approved"


def test_the_slower_of_two_who_approve_at_once_is_told(registered: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a tracking server, which has no lock: both have seen `proposed`, then both write."""
    write = registered.store.append

    def late(name: str, change: Change) -> None:
        write(name, Change(seq=1, at=signed(hours=-1).at, by="bob", version="1.0.0", to="approved", why=""))
        write(name, change)

    monkeypatch.setattr(registered.store, "append", late)
    with pytest.raises(RegistryError, match="bob was quicker, it is approved since 2026-11-01 11:00 UTC"):
        approve(registered, V1, signed())
    assert states(registered) == {"1.0.0": "approved"}


def test_a_fetched_bundle_is_the_registered_one(registered: Registry, tmp_path: Path) -> None:
    assert fetch(registered, V1, tmp_path / "new" / "copy") == "proposed"
    assert load_bundle(tmp_path / "new" / "copy", Table()) == load_bundle(tmp_path / "one", Table())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["copy"]


def test_artefacts_that_were_changed_are_not_fetched(registered: Registry, tmp_path: Path) -> None:
    [manifest] = (root_of(registered) / "artifacts").rglob("bundle.json")
    manifest.write_text(manifest.read_text().replace("0.5", "0.4"))
    with pytest.raises(RegistryError, match="its artefacts were changed"):
        fetch(registered, V1, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_an_unknown_version_is_told_with_what_there_is(registered: Registry, tmp_path: Path) -> None:
    with pytest.raises(UnknownVersion, match=r"tiny@3\.0\.0 is not registered; there is: 1\.0\.0"):
        fetch(registered, Label("tiny", "3.0.0"), tmp_path / "copy")


def test_the_alias_of_mlflow_follows(two: Registry) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{root_of(two).resolve()}/mlflow.db")
    assert client.get_model_version_by_alias("tiny", "live").tags["riskstream.version"] == "1.0.0"
    make_live(two, V2, signed())
    assert client.get_model_version_by_alias("tiny", "live").tags["riskstream.version"] == "1.1.0"
    retire(two, V2, signed())
    assert client.get_registered_model("tiny").aliases == {}
