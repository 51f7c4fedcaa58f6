"""The tests themselves: each says what its law is, and what starts a process is kept out of the fast lane."""

import ast
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parent.rglob("test_*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@each_file
def test_every_test_is_a_law_in_words(path: Path):
    """A file of tests says what its laws are about, and each test says its law."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    laws = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert [getattr(node, "name", path.name) for node in (tree, *laws) if not ast.get_docstring(node)] == []
