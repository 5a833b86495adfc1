"""Bases of too many terms are refused at once, with their size; counting agrees with making."""

import re
import time

import numpy as np
import pytest
from pace import within

import claude_pymc as cp
from claude_pymc.errors import DesignError
from claude_pymc.tables import memory
from claude_pymc.tables.indicators import Indicated

ROUTES = (("route", ("a", "b", "c")),)


@pytest.mark.parametrize(
    "basis",
    [
        *(cp.Polynomial(degree=d) for d in range(5)),
        cp.Legendre(degree=4),
        *(cp.Sine(order=n) for n in range(3)),
        cp.Polynomial(exponents=[[0, 0, 0], [1, 2, 0]]),
        cp.Spline(order=5, interactions=[(0, 1), (1, 2)]),
        *(cp.HSGP(order=n, interactions=[(0, 2)]) for n in (8, 9, 10, 17)),
    ],
)
def test_counting_agrees_with_making(basis):
    assert basis.count(3) == len(basis.orders(3)) == len(basis.terms(["a", "b", "c"]))
    both = Indicated(basis=basis, categories=ROUTES)
    assert both.count(4) == len(both.orders(4)) == basis.count(3) + 3


@pytest.mark.parametrize(
    ("basis", "n", "terms"),
    [
        (cp.Polynomial(degree=50), 10, "7.5e+10 terms of a polynomial basis in 10"),
        (cp.Legendre(degree=50), 10, "7.5e+10 terms of a legendre"),
        (cp.Polynomial(degree=10**9), 1, "1e+09 terms"),
        (cp.Sine(order=50), 10, "1.2e+17 terms of a sine"),
        (cp.Sine(order=10**6), 60, "1e+300 terms of a sine"),
        (cp.HSGP(order=5000, interactions=[(0, 1)]), 10, "2e+07 terms of a hsgp"),
        (cp.HSGP(order=10**9, interactions=[(0, 1)]), 10, "1e+18 terms of a hsgp"),
    ],
)
def test_too_many_terms_are_refused_at_once(basis, n, terms):
    """No allocation: one that does not fit would fail, or take minutes."""
    start = time.perf_counter()
    bounds = {f"x{j}": (0.0, 1.0) for j in range(n)}
    for make in (
        lambda: cp.Design.from_bounds(bounds, ["sim", "exp"], basis),
        lambda: cp.Design.from_table(
            cp.Table(list(bounds), ["y"], np.eye(n + 1, n), np.ones((n + 1, 1))), basis
        ),
        lambda: basis.orders(n),
        lambda: Indicated(basis=basis, categories=ROUTES).terms([*bounds, "route"]),
    ):
        with pytest.raises(DesignError) as error:
            make()
        assert f"got {terms}" in str(error.value)
        assert re.search(r"memory that is available, [\d.]+ GB\n", str(error.value))
    assert within(time.perf_counter() - start, 1.0)


def test_the_limit_is_the_memory_that_is_available(monkeypatch):
    basis = cp.Polynomial(degree=2)
    count = basis.count(70)
    assert count == 2556
    needed = 8 * (4 * count**2 + 8192 * count)
    monkeypatch.setattr(memory, "available", lambda: needed)
    assert len(basis.orders(70)) == count
    monkeypatch.setattr(memory, "available", lambda: needed - 1)
    with pytest.raises(DesignError, match=r"2556 terms of a polynomial (.|\n)*need 0\.4 GB"):
        basis.orders(70)
    monkeypatch.setattr(memory, "available", lambda: 0)
    assert len(basis.orders(20)) == 231  # so few are made anywhere


def test_what_is_available(tmp_path, monkeypatch):
    pages = memory.os.sysconf("SC_PHYS_PAGES") * memory.os.sysconf("SC_PAGE_SIZE")
    assert 0 < memory.available() <= pages
    texts = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   7000 kB\n"}

    class FakePath:
        def __init__(self, path):
            self.path = str(path)

        def read_text(self, encoding):
            if self.path not in texts:
                raise FileNotFoundError
            return texts[self.path]

    monkeypatch.setattr(memory, "Path", FakePath)
    assert memory.available() == 7000 * 1024
    texts["/sys/fs/cgroup/memory.max"] = "max\n"
    assert memory.available() == 7000 * 1024
    texts["/sys/fs/cgroup/memory.max"] = "5000\n"
    assert memory.available() == 5000
    texts.clear()
    assert memory.available() == pages
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available() == memory.ASSUMED
