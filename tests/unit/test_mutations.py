"""The table of mutations fits the tree: a mechanism that was rewritten takes its mutation along."""

import ast
from pathlib import Path

import pytest

from tests.faults.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
ALL = [pytest.param(each, id=each.mechanism) for each in MUTATIONS]


@pytest.mark.parametrize("mutation", ALL)
def test_the_text_stands_exactly_once(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1


@pytest.mark.parametrize("mutation", ALL)
def test_what_it_becomes_is_python(mutation: Mutation) -> None:
    ast.parse((ROOT / mutation.file).read_text().replace(mutation.old, mutation.new))


@pytest.mark.parametrize("mutation", ALL)
def test_the_named_fault_exists(mutation: Mutation) -> None:
    file, _, test = mutation.caught_by.partition("::")
    name, _, parameters = test.partition("[")
    text = (ROOT / "tests/faults" / file).read_text()
    assert f"def {name}(" in text
    assert parameters.rstrip("]") in text, "the parameter's id"
