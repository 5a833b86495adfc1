"""Terms are counted, and compared with the memory there is, before any of them is made."""

from __future__ import annotations

import os
from pathlib import Path

from claude_pymc.errors import DesignError

FEW = 2000  # terms whose statistics fit anywhere
ROWS = 8192  # of which terms are held at a time
# Numbers (term, term): a Gram matrix, its root, and two that are made on the way.
MATRICES = 4
ASSUMED = 64 * 10**9  # bytes, where the system does not say


def refuse_many_terms(count: int, n_descriptors: int, kind: str) -> None:
    """Refuse a basis whose statistics of one pattern of targets do not fit into memory.

    With p terms they need 8 (4 p^2 + 8192 p) bytes: matrices of p^2 numbers, and rows of p.

    Parameters
    ----------
    count : int
        Number of terms.
    n_descriptors : int
    kind : str
        Of the basis, for the error.

    Examples
    --------
    >>> refuse_many_terms(300, 8, "polynomial")
    """
    if count <= FEW:
        return
    needed, free = 8 * (MATRICES * count**2 + ROWS * count), available()
    if needed > free:
        raise DesignError(
            f"a basis whose statistics fit into the memory that is available, {_size(free)}",
            f"{_number(count)} terms of a {kind} basis in {n_descriptors} descriptors, whose "
            f"statistics need {_size(needed)}",
            "products of all descriptors: their number grows with the power of the degree or of "
            "the number of descriptors, and the memory with its square",
            "lower degree or order, leave descriptors out, list the terms by exponents, or use an "
            "additive basis (HSGP or Spline without interactions)",
        )


def available() -> int:
    """Bytes that are free on this machine, or that its container may have if these are fewer."""
    found = []
    for path, word in (("/proc/meminfo", "MemAvailable:"), ("/sys/fs/cgroup/memory.max", "")):
        try:
            text = Path(path).read_text(encoding="ascii")
        except OSError:
            continue
        for line in text.splitlines():
            size, *unit = line.removeprefix(word).split()
            if line.startswith(word) and size.isdecimal():
                found.append(int(size) * (1024 if unit else 1))
    if found:
        return min(found)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return ASSUMED


def _number(count: int) -> str:
    return f"{count}" if count < 10**7 else f"{float(min(count, 10**300)):.2g}"


def _size(size: int) -> str:
    """Bytes in GB, as a person reads them."""
    gigabytes = min(size, 10**300) / 1e9
    return f"{gigabytes:.1f} GB" if gigabytes < 1000 else f"{gigabytes:.2g} GB"
