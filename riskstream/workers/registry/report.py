"""Models, their versions and their histories as tables."""

from collections.abc import Iterable
from datetime import datetime

from rich.table import Table

from riskstream.models.bundle import Manifest
from riskstream.models.versions import Label
from riskstream.workers.registry.records import Model


def models_table(models: Iterable[Model]) -> Table:
    """A row per version."""
    table = Table("model", "version", "state", "proposed", "by", title="Models", title_justify="left")
    for model in models:
        for version, known in model.versions.items():
            proposed = known.proposed
            table.add_row(model.name, version, model.state(version), _moment(proposed.at), proposed.by)
    return table


def version_table(model: Model, label: Label, manifest: Manifest) -> Table:
    known = model.find(label)
    table = Table(title=f"{label} is {model.state(label.version)}", title_justify="left", show_header=False)
    for name, value in {
        "made": _moment(manifest.created_at),
        "features": f"{len(manifest.features)}, feature set {manifest.feature_set}",
        "decisions": f"review from {manifest.thresholds.review:.4f}, decline from {manifest.thresholds.decline:.4f}",
        "trained on": f"{manifest.training.events:,} events, data {manifest.training.fingerprint[:16]}",
        "code": manifest.training.commit or "not recorded",
        "measured": ", ".join(f"{name} {value:.4g}" for name, value in manifest.metrics.items()),
        "sha256": known.sha256,
        "MLflow": f"version {known.stored.number}, run {known.stored.run_id}",
    }.items():
        table.add_row(name, value)
    return table


def history_table(model: Model) -> Table:
    """Everything that was done, oldest first. What came too late to take effect is there too."""
    table = Table("when", "version", "became", "by", "because", title=f"History of {model.name}", title_justify="left")
    rows = [
        (known.proposed.at, 0, version, "proposed", known.proposed.by, known.proposed.why)
        for version, known in model.versions.items()
    ]
    for step in model.history.steps:
        change = step.change
        became = f"{change.to}, instead of {step.replaced}" if step.replaced else change.to
        rows.append((change.at, change.seq, change.version, became, change.by, change.why))
    for change in model.history.overruled:
        rows.append((change.at, change.seq, change.version, f"({change.to}: too late)", change.by, change.why))
    for at, _, version, became, by, why in sorted(rows):
        table.add_row(_moment(at), version, became, by, why)
    return table


def live_table(model: Model) -> Table:
    """What ran when: the times between which a version was declared live."""
    table = Table("version", "from", "to", title="Live", title_justify="left")
    start: tuple[str, datetime] | None = None
    for step in model.history.steps:
        change = step.change
        ends = start is not None and (change.to == "live" or (change.to == "retired" and change.version == start[0]))
        if ends and start:
            table.add_row(start[0], _moment(start[1]), _moment(change.at))
            start = None
        if change.to == "live":
            start = change.version, change.at
    if start:
        table.add_row(start[0], _moment(start[1]), "now")
    return table


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
