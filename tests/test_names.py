"""The public names: the lazy list, the stub for type checkers, and what they lead to."""

import ast
from pathlib import Path

import claude_pymc as cp


def test_stub_and_lazy_list_agree():
    tree = ast.parse(Path(cp.__file__).with_suffix(".pyi").read_text())
    stub = {
        (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert stub == {(module, name) for module, names in cp._WHERE.items() for name in names}


def test_every_public_name_loads_and_says_what_it_is():
    for name in cp.__all__:
        value = getattr(cp, name)
        assert isinstance(value, str) or (value.__doc__ or "").strip(), name
