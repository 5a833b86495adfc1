"""What a model takes from the statistics: arrays, coordinates, and notices about both.

Nothing here knows PyMC: the exact sampler starts without it.
"""

from __future__ import annotations

import warnings

import numpy as np

from claude_pymc.errors import Notice, StatisticsError
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import BASIS, TARGET, TARGET_BIS, VARIABLE, VARIABLE_BIS
from claude_pymc.tables.gram import ROUND_OFF
from claude_pymc.tables.statistics import PatternStats, refuse_other

DATA = ("rows", "gram")
SMALL, LARGE = 0.02, 10.0


def coords(spec: JointGaussian) -> dict[str, list[str]]:
    """Coordinates of the model's dims."""
    design, columns = spec.design, spec.columns
    names = columns.variables
    found = {
        TARGET: list(design.targets),
        TARGET_BIS: list(design.targets),
        BASIS: list(design.terms),
        "link": [f"{names[j]} <- {names[k]}" for j, k, _ in columns.links],
        "correction": [f"{names[j]}: {columns.terms[b]}" for j, b in columns.entries],
        "group": [f"{design.targets[j]}: {g}" for j, g in spec.groups],
        "varying_term": list(spec.varying),
        "source": list(spec.sources),
        "kernel": [f"{design.targets[j]}: {name}" for j, name in spec.lengths],
    }
    if spec.likelihood == "joint":
        found |= {VARIABLE: list(names), VARIABLE_BIS: list(names)}
    return found


def data_of(spec: JointGaussian, stats: PatternStats) -> dict[str, np.ndarray]:
    """Check statistics, give notices about them, and return the arrays of `arrays_of`."""
    refuse_other(stats)
    if stats.design != spec.design:
        raise StatisticsError(
            "statistics of the design in the specification",
            "statistics of another design",
            "the table was condensed with another basis or another scaling",
            "use PatternStats.from_table(table, spec.design)",
        )
    refuse_rows_lacking(spec, stats)
    _notice_scale(spec, stats)
    _notice_unidentified(spec, stats)
    return arrays_of(spec, stats)


def refuse_rows_lacking(spec: JointGaussian, stats: PatternStats) -> None:
    """Refuse statistics without the rows, errors or sources that the specification needs."""
    if spec.needs == "statistics":
        return
    if stats.kept is None or len(stats.kept) != stats.measured(spec.design.targets[-1]):
        raise StatisticsError(
            f"the rows of {spec.design.targets[-1]!r}, which this specification needs",
            "statistics alone",
            "sums over rows do not know how noise or linkage vary between them",
            "use PatternStats.from_table(table, design, rows=True)",
        )
    lacking = int(np.isnan(stats.kept.sigma).sum()) if spec.errors else 0
    if lacking:
        raise StatisticsError(
            f"a measurement error for each of {len(stats.kept)} rows",
            f"none in {lacking} of them",
            "a table without the column sigma, or with empty cells",
            "name the column: Table.from_csv(..., sigma=...), or leave errors=True out",
        )
    strange = sorted(set(map(str, stats.kept.source)) - set(spec.sources)) if spec.sources else []
    if strange:
        raise StatisticsError(
            f"rows from the sources {list(spec.sources)}",
            f"{strange[0]!r}",
            "a typing error, or a laboratory that the specification does not know",
            "name all sources: JointGaussian(design, sources=[...])",
        )


def arrays_of(spec: JointGaussian, stats: PatternStats) -> dict[str, np.ndarray]:
    """Return the arrays of statistics that belong to the specification, without a word."""
    rows = stats.rows
    if spec.likelihood == "joint":
        rows = np.hstack([stats.described * stats.counts[:, None].astype(np.float64), rows])
    return {"rows": rows, "gram": stats.grams}


def sizes_of(spec: JointGaussian, rows: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Root mean square of each variable, about its mean where a constant may absorb that."""
    terms, entries = spec.columns.terms, spec.columns.entries
    p, d = len(terms), len(spec.columns.variables)
    counts = np.maximum(rows.sum(axis=0), 1.0)
    square = np.einsum("mjj->j", gram[:, p:, p:]) / counts
    if "1" in terms:
        b = terms.index("1")
        mean = gram[:, b, p:].sum(axis=0) / counts
        free = [(j, b) in entries for j in range(d)]
        square = np.where(free, np.maximum(square - mean**2, ROUND_OFF * square), square)
    return np.where(square > 0, np.sqrt(square), 1.0)


def _notice_scale(spec: JointGaussian, stats: PatternStats) -> None:
    """Say where variables are so far from unit scale that the prior is no longer weak."""
    columns = spec.columns
    present = np.hstack([stats.described, stats.present])[:, -len(columns.variables) :]
    counts = stats.counts @ present
    for j, (name, n) in enumerate(zip(columns.variables, counts, strict=True)):
        z = len(columns.terms) + j
        rms = float(np.sqrt(stats.grams[:, z, z].sum() / n)) if n else 1.0
        if not SMALL < rms < LARGE and spec.prior.proper:
            warnings.warn(
                f"{name!r} has a root mean square of {rms:.3g} on the modelled scale, where "
                "priors expect about 1: use Design.from_table(standardize=True), or "
                "Design.from_bounds(ranges=...)",
                Notice,
                stacklevel=4,
            )


def _notice_unidentified(spec: JointGaussian, stats: PatternStats) -> None:
    """Say of which linkage rows say nothing: no shared row, and corrections that absorb it."""
    active, targets = spec.design.active, spec.design.targets
    for j, k, _ in spec.links:
        together = (stats.present[:, j] & stats.present[:, k]).any()
        if targets[j] in spec.design.chosen:
            continue
        absorbed = active[j, active[: k + 1].any(axis=0)].all()
        if absorbed and not together and stats.measured(targets[j]):
            warnings.warn(
                f"the linkage of {targets[j]!r} to {targets[k]!r} is not identified: no row has "
                f"both, and the corrections of {targets[j]!r} hold every term of "
                f"{targets[k]!r}, so that only the priors speak about it; leave terms out of the "
                "corrections, or measure both in some rows",
                Notice,
                stacklevel=4,
            )
