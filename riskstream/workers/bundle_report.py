"""A bundle in words, after it was checked as a worker checks it."""

from pathlib import Path

from rich.table import Table

from riskstream.models.bundle import load_bundle
from riskstream.models.domain import load_domain
from riskstream.models.scorer import Scorer


def bundle_table(path: Path, domain: str) -> Table:
    """Raises BundleError, or DomainError, with what is wrong."""
    bundle = load_bundle(path, load_domain(domain).features)
    Scorer(bundle)  # runs the smoke cases
    manifest = bundle.manifest
    table = Table(title=bundle.label, title_justify="left", show_header=False)
    for name, value in {
        "made": f"{manifest.created_at:%Y-%m-%d %H:%M} UTC",
        "features": f"{len(manifest.features)}, feature set {manifest.feature_set}",
        "decisions": f"review from {manifest.thresholds.review:.4f}, decline from {manifest.thresholds.decline:.4f}",
        "trained on": f"{manifest.training.events:,} events, log {manifest.training.fingerprint[:16]}",
        "with": ", ".join(f"{name} {version}" for name, version in manifest.training.libraries.items()),
        "measured": ", ".join(f"{name} {value:.4g}" for name, value in manifest.metrics.items()),
        "smoke test": f"passed, {len(bundle.smoke.rows)} cases",
    }.items():
        table.add_row(name, value)
    return table
