"""The numba kernel of the pattern-wise likelihood: one pass over patterns, value and gradient.

It is compiled once into a C function, cached on disk, and called through its symbol. Linked as
bitcode into every PyMC model instead, it would be optimised anew for each of them, which takes
longer than everything else in a warm compilation. The formulas are those of
`claude_pymc.joint.ops`; the loops are written out because slices cost more than they save here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from numba import types

from claude_pymc.joint.gaussian import LOG_2PI

TINY = 1e-150
SIZE, FLOATS, WHOLES = types.int64, types.CPointer(types.float64), types.CPointer(types.int64)
_ALIVE: list[Any] = []


def version_of(*names: str) -> int:
    """Key of caches on disk: an edited kernel is never mixed with an old caller."""
    return zlib.crc32(b"".join(Path(__file__).with_name(n).read_bytes() for n in names))


def forget_edited(folder: Path) -> None:
    """Remove numba's caches if a source has changed since they were made.

    Numba looks at the file of the function it loads alone, not at those of what that calls.
    """
    sources = [path for path in Path(__file__).parent.glob("*.py") if b"njit" in path.read_bytes()]
    mark, stamp = str(version_of(*sorted(path.name for path in sources))), folder / "numba_sources"
    try:
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == mark:
            return
        for cached in folder.glob("*.nb[ic]"):
            cached.unlink(missing_ok=True)
        stamp.write_text(mark, encoding="utf-8")
    except OSError:  # the folder cannot be written: nothing of ours is cached there
        return


@cache
def external(kernel: Callable[..., None], signature: Any, symbol: str) -> Any:
    """Compile a kernel, or load it from the cache, and return it as a callable of njit code."""
    try:
        compiled = numba.cfunc(signature, cache=True, error_model="numpy")(kernel)
    except RuntimeError:  # no folder for the cache can be written
        compiled = numba.cfunc(signature, error_model="numpy")(kernel)
    _ALIVE.append(compiled)  # its machine code is called by address
    llvmlite.binding.add_symbol(symbol, compiled.address)
    return types.ExternalFunction(symbol, signature)


VERSION = version_of("kernel.py", "ops.py")
SYMBOL = f"claude_pymc_pattern_kernel_{VERSION}"
SIGNATURE = types.void(*(SIZE,) * 3, *(FLOATS,) * 9)


@numba.njit(cache=True, error_model="numpy")
def pattern_loops(
    linkage: np.ndarray,
    sigma: np.ndarray,
    corrections: np.ndarray,
    rows: np.ndarray,
    gram: np.ndarray,
    g_linkage: np.ndarray,
    g_sigma: np.ndarray,
    g_corrections: np.ndarray,
) -> float:
    """Fill the gradients with respect to C (strictly lower), sigma and R; return the value."""
    d, p = corrections.shape
    n_patterns = len(rows)
    value = 0.0
    failed = False
    # Columns 0..p-1 hold W = T^-1 R, columns p.. hold A = T^-1 diag(sigma); g is their gradient.
    full = np.zeros((d, p + d))
    g = np.zeros((d, p + d))
    index = np.zeros(d, np.int64)
    inner = np.zeros(d)
    lower = np.zeros((d, d))
    q = np.zeros((d, d))
    u = np.zeros((d, p + d))
    v = np.zeros((d, p + d))
    for j in range(d):
        failed = failed or not (sigma[j] > TINY and sigma[j] < np.inf)
        for b in range(p):
            full[j, b] = corrections[j, b]
        full[j, p + j] = sigma[j]
        for k in range(j):
            failed = failed or not np.isfinite(linkage[j, k])
            for b in range(p + d):
                full[j, b] += linkage[j, k] * full[k, b]
    for m in range(n_patterns):
        n = 0.0
        k = 0
        for j in range(d):
            if rows[m, j] > 0.0:
                n = rows[m, j]
                index[k] = j
                k += 1
        for i in range(k):
            # One row of A_G = L Q, and of U = L^-1 (-W_G, I).
            for b in range(p):
                u[i, b] = -full[index[i], b]
            for b in range(d):
                u[i, p + b] = 1.0 if b == index[i] else 0.0
                q[i, b] = full[index[i], p + b]
            for j in range(i):
                dot = 0.0
                for b in range(d):
                    dot += q[i, b] * q[j, b]
                lower[i, j] = dot
                for b in range(d):
                    q[i, b] -= dot * q[j, b]
                for b in range(p + d):
                    u[i, b] -= dot * u[j, b]
            square = 0.0
            for b in range(d):
                square += q[i, b] * q[i, b]
            length = np.sqrt(square)
            if not (length > TINY and length < np.inf):
                failed = True
                length = 1.0
            lower[i, i] = length
            for b in range(d):
                q[i, b] /= length
            for b in range(p + d):
                u[i, b] /= length
            value -= n * (0.5 * LOG_2PI + np.log(length))
        for i in range(k):
            # V = U C_Gamma, and the trace sum(U * V).
            for b in range(p + d):
                v[i, b] = 0.0
            for a in range(p + d):
                factor = u[i, a]
                if factor != 0.0:
                    for b in range(p + d):
                        v[i, b] += factor * gram[m, a, b]
            for b in range(p + d):
                value -= 0.5 * u[i, b] * v[i, b]
        for i in range(k - 1, -1, -1):
            # Columns of V for targets are spent; (V U' - n I) Q takes their place, then L^-T.
            inner[:] = 0.0
            for j in range(k):
                for b in range(p + d):
                    inner[j] += v[i, b] * u[j, b]
            inner[i] -= n
            for b in range(d):
                total = 0.0
                for j in range(k):
                    total += inner[j] * q[j, b]
                v[i, p + b] = total
        for i in range(k - 1, -1, -1):
            for b in range(p + d):
                total = v[i, b]
                for j in range(i + 1, k):
                    total -= lower[j, i] * v[j, b]
                v[i, b] = total / lower[i, i]
                g[index[i], b] += v[i, b]
    for j in range(d - 1, -1, -1):
        for i in range(j + 1, d):
            for b in range(p + d):
                g[j, b] += linkage[i, j] * g[i, b]
        g_sigma[j] = g[j, p + j]
        for b in range(p):
            g_corrections[j, b] = g[j, b]
        for k in range(d):
            g_linkage[j, k] = 0.0
        for k in range(j):
            for b in range(p + d):
                g_linkage[j, k] += g[j, b] * full[k, b]
    if failed or not np.isfinite(value):
        value = -np.inf
        for j in range(d):
            g_sigma[j] = np.nan
            for k in range(d):
                g_linkage[j, k] = np.nan
            for b in range(p):
                g_corrections[j, b] = np.nan
    return value


def pattern_kernel(
    d: int,
    p: int,
    n_patterns: int,
    linkage: Any,
    sigma: Any,
    corrections: Any,
    rows: Any,
    gram: Any,
    value: Any,
    g_linkage: Any,
    g_sigma: Any,
    g_corrections: Any,
) -> None:
    """`pattern_loops` as a C function of pointers."""
    value[0] = pattern_loops(
        numba.carray(linkage, (d, d)),
        numba.carray(sigma, d),
        numba.carray(corrections, (d, p)),
        numba.carray(rows, (n_patterns, d)),
        numba.carray(gram, (n_patterns, p + d, p + d)),
        numba.carray(g_linkage, (d, d)),
        numba.carray(g_sigma, d),
        numba.carray(g_corrections, (d, p)),
    )


if pattern_loops.stats.cache_path:
    forget_edited(Path(pattern_loops.stats.cache_path))
