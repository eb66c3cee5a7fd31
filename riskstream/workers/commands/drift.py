"""`riskstream drift`: the sidecar."""


def drift() -> int:
    """Run the sidecar: it sums up what all workers saw, window by window, and says what changed.

    Reads RISKSTREAM_STATS_TOPIC, writes reports to RISKSTREAM_DRIFT_TOPIC, and serves a page, /metrics and /livez on
    RISKSTREAM_DRIFT_HOST:RISKSTREAM_DRIFT_PORT. It needs the bundles of the models that workers run: RISKSTREAM_BUNDLE,
    RISKSTREAM_DRIFT_BUNDLES or the registry. A second instance stands by. Its death never touches scoring.
    """
    from riskstream.workers.drift.run import run_sidecar
    from riskstream.workers.logs import configure_logs
    from riskstream.workers.settings import load_settings

    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    return run_sidecar(settings)
