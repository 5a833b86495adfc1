"""Every example of a docstring runs, in an empty folder.

Known are `cp`, `np`, `arviz` and the names of the module.
"""

import doctest
import importlib
import inspect
import pkgutil

import arviz
import numpy as np
import pytest
from claude_xml_cases import QUADRATIC, covariance_text, parameter_text, write_files
from oracle import random_precision, random_rows

import claude_pymc as cp

MOST_LINES = 6
NAMES = sorted(m.name for m in pkgutil.walk_packages(cp.__path__, "claude_pymc."))
FOUND = {
    example.name: example
    for name in ["claude_pymc", *NAMES]
    for example in doctest.DocTestFinder().find(importlib.import_module(name))
    if example.examples
}


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.filterwarnings("ignore::claude_pymc.errors.PosteriorWarning")
def test_the_example_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example = FOUND[name]
    assert len(example.examples) <= MOST_LINES
    assert not any(doctest.SKIP in line.options for line in example.examples)
    if "from_claude_xml" in name:
        exponents, rng = QUADRATIC[1], np.random.default_rng(0)
        active = np.ones((2, len(exponents)), dtype=bool)
        rows, precision = random_rows(rng, 60, 1, 2), random_precision(rng, len(exponents), 2)
        texts = covariance_text(rows, exponents, precision), parameter_text(exponents, active)
        write_files(tmp_path, *texts[::-1])
    example.globs |= {"cp": cp, "np": np, "arviz": arviz}
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    assert result.failed == 0, capsys.readouterr().out


def test_every_public_function_has_an_example():
    functions = {n for n in cp.__all__ if inspect.isfunction(getattr(cp, n))}
    assert functions <= {name.split(".")[-1] for name in FOUND}
