"""Shared by all tests: one BLAS thread, generators with fixed seeds, the reference values."""

import json
import os
import zlib
from pathlib import Path

import pytest

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  (reads the number of threads when it is loaded)

JOINT = Path(__file__).resolve().parents[1] / "claude_pymc/joint"


def forget_edited_kernels():
    """Remove numba's caches if a source has changed since they were made.

    Numba looks at the file of the function it loads alone: an edited kernel in another file would
    be tested as it was before.
    """
    sources = sorted(path for path in JOINT.glob("*.py") if "njit" in path.read_text("utf-8"))
    mark = str(zlib.crc32(b"".join(path.read_bytes() for path in sources)))
    stamp = JOINT / "__pycache__/numba_sources"
    if stamp.is_file() and stamp.read_text() == mark:
        return
    for cached in stamp.parent.glob("*.nb[ic]"):
        cached.unlink()
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(mark)


if "PYTEST_XDIST_WORKER" not in os.environ:  # once, before the workers start
    forget_edited_kernels()


@pytest.fixture
def rng(request):
    """A generator whose seed is the name of the test, parameters included."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(scope="session")
def reference():
    """Log-likelihoods of the method's published implementation, by name of the case."""
    path = Path(__file__).resolve().parents[2] / "shared/reference/claude_reference.json"
    if not path.is_file():
        pytest.skip("reference values are only in development")
    return {case["name"]: case for case in json.loads(path.read_text(encoding="utf-8"))}
