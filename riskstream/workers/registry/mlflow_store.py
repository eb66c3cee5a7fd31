"""MLflow's end: runs, model versions, tags and artefacts. The only module that imports it, and only when it is used.

MLflow is kept quiet: it sends no telemetry and talks to nobody but the place that was named. Its errors become
RegistryError, or Unavailable where trying again later may help.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from riskstream.models.bundle import Bundle
from riskstream.models.lifecycle import Change
from riskstream.models.versions import Label
from riskstream.workers.errors import RegistryError, Unavailable
from riskstream.workers.registry.place import Folder, Place
from riskstream.workers.registry.records import Model, Registered, Signed, Stored, change_tag, read_model, version_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

EXPERIMENT = "riskstream"
BUNDLE_ARTIFACT = "bundle"
LIVE_ALIAS = "live"
PARAMETERS_AT_ONCE = 100
AWAY = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED")

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",  # it looks for git, and complains where there is none
    # For one call: about ten seconds until a server that refuses counts as away, a minute for one that is silent.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.5",
}


def connect(place: Place) -> "MlflowStore":
    """MLflow's client at `place`. A new folder gets its database now, which takes some seconds."""
    os.environ.update(ENVIRONMENT)
    if isinstance(place, Folder):
        root = place.root.resolve()
        root.mkdir(parents=True, exist_ok=True)
        uri, artifacts = f"sqlite:///{root / 'mlflow.db'}", (root / "artifacts").as_uri()
    else:
        uri, artifacts = place.url, None
        held = {"USERNAME": place.username, "PASSWORD": place.password, "TOKEN": place.token}
        os.environ.update({f"MLFLOW_TRACKING_{name}": value for name, value in held.items() if value})
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what it has to say of errors, we say
    with translated(str(place)):
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # importing it has set another
        return MlflowStore(MlflowClient(uri, uri), artifacts, str(place))


class MlflowStore:
    """Reads and writes models. What MLflow does not do at once is in an order that leaves nothing half visible."""

    def __init__(self, client: "MlflowClient", artifacts: str | None, place: str) -> None:
        self._client, self._artifacts, self._place = client, artifacts, place

    def models(self) -> list[Model]:
        """All that have a version of ours, by name."""
        names, token = [], None
        with translated(self._place):
            while True:
                page = self._client.search_registered_models(max_results=100, page_token=token)
                names += [model.name for model in page]
                if not (token := page.token):
                    break
        return [model for name in sorted(names) if (model := self.model(name)).versions]

    def model(self, name: str) -> Model:
        """Without versions if there is none of that name."""
        from mlflow.exceptions import MlflowException

        with translated(self._place):
            try:
                tags = self._client.get_registered_model(name).tags
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return read_model(name, {}, [])
            return read_model(name, tags, list(self._stored(name)))

    def _stored(self, name: str) -> Iterator[Stored]:
        token = None
        while True:
            page = self._client.search_model_versions(f"name='{name}'", max_results=100, page_token=token)
            for one in page:
                yield Stored(int(one.version), one.source or "", one.run_id or "", dict(one.tags))
            if not (token := page.token):
                return

    def add(self, bundle: Bundle, path: Path, sha256: str, signed: Signed, report: Path | None) -> Registered:
        """Logs the run with the bundle's files, then makes the version: it is there as a whole or not at all.

        RegistryError if somebody else registered this version at the same time.
        """
        manifest = bundle.manifest
        label = Label(manifest.name, manifest.version)
        with translated(self._place):
            run_id = self._log_run(bundle, path, report)
            self._create_model(manifest.name)
            source = f"{self._client.get_run(run_id).info.artifact_uri}/{BUNDLE_ARTIFACT}"
            tags = version_tags(label, sha256, signed)
            made = self._client.create_model_version(manifest.name, source, run_id, tags, await_creation_for=0)
            registered = self.model(label.name).find(label)
            if registered.stored.number != int(made.version):
                self._client.delete_model_version(label.name, made.version)
                raise RegistryError(f"{label} was registered by {registered.proposed.by} at the same time")
        return registered

    def _log_run(self, bundle: Bundle, path: Path, report: Path | None) -> str:
        from mlflow.entities import Param

        manifest = bundle.manifest
        tags = {"riskstream.bundle": bundle.label, "riskstream.feature_set": manifest.feature_set}
        tags |= {
            f"riskstream.training.{name}": value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for name, value in msgspec.to_builtins(manifest.training).items()
            if name != "parameters"
        }
        run_id = str(self._client.create_run(self._experiment(), tags=tags, run_name=bundle.label).info.run_id)
        done = "FAILED"
        try:
            parameters = [Param(name, str(value)) for name, value in manifest.training.parameters.items()]
            for start in range(0, len(parameters), PARAMETERS_AT_ONCE):
                self._client.log_batch(run_id, params=parameters[start : start + PARAMETERS_AT_ONCE])
            for name, value in manifest.metrics.items():
                self._client.log_metric(run_id, name, value)
            self._client.log_artifacts(run_id, str(path), BUNDLE_ARTIFACT)
            if report:
                self._client.log_artifact(run_id, str(report))
            done = "FINISHED"
        finally:
            self._client.set_terminated(run_id, done)
        return run_id

    def _experiment(self) -> str:
        known = self._client.get_experiment_by_name(EXPERIMENT)
        if known is None:
            return str(self._client.create_experiment(EXPERIMENT, artifact_location=self._artifacts))
        return str(known.experiment_id)

    def _create_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def append(self, name: str, change: Change) -> None:
        """One tag, whole or not there; no other is touched."""
        with translated(self._place):
            self._client.set_registered_model_tag(name, *change_tag(change))

    def point_live(self, model: Model) -> None:
        """MLflow's alias `live` follows our history, for those who read models by MLflow's own means."""
        with translated(self._place):
            if model.history.live:
                number = str(model.versions[model.history.live].stored.number)
                self._client.set_registered_model_alias(model.name, LIVE_ALIAS, number)
            else:
                self._client.delete_registered_model_alias(model.name, LIVE_ALIAS)

    def download(self, registered: Registered, into: Path, file: str = "") -> Path:
        """The bundle's files, or one of them, as they were registered, unchecked; the directory within `into`."""
        with translated(self._place):
            wanted = f"{BUNDLE_ARTIFACT}/{file}" if file else BUNDLE_ARTIFACT
            got = Path(self._client.download_artifacts(registered.stored.run_id, wanted, str(into)))
        return got.parent if file else got


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raises Unavailable or RegistryError for what MLflow and its transport raise.

    Warnings in here are of MLflow's use of other libraries: nobody who reads them could do anything about it.
    """
    with warnings.catch_warnings(action="ignore"):
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, OSError) as error:  # calls of artefacts let requests' errors through, OSErrors all
            raise _translation(place, error) from error


def _translation(place: str, error: "MlflowException | OSError") -> Exception:
    code = getattr(error, "error_code", "")
    said = str(error).strip().partition("\n")[0][:300]
    if isinstance(error, OSError) or code in AWAY:
        return Unavailable(f"registry {place}: does not answer or is locked: {said}")
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED") or "401" in said or "403" in said:
        hint = "give RISKSTREAM_REGISTRY_TOKEN, or a user and password in RISKSTREAM_REGISTRY_URI"
        return RegistryError(f"registry {place}: refuses you: {said}; {hint}")
    return RegistryError(f"registry {place}: {said}")
