"""Where a picture looks: what is held, along what it runs, and which rows lie near by."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from claude_pymc.errors import CandidateError
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.protocols import Predictive
from claude_pymc.review.style import axis_label, number
from claude_pymc.tables.categories import Category
from claude_pymc.tables.table import Table

MOST_NAMED = 6  # descriptors that are held, and named
NEAR = 0.1  # share of the range of a descriptor within which a row counts as near

Held = dict[str, Any]


def as_predictive(post: Any) -> Any:
    """Return what predicts; draws as a posterior.

    Raises
    ------
    CandidateError
        If it does not predict.
    """
    if isinstance(post, xr.DataTree):
        return JointPosterior(post)
    if not all(hasattr(post, name) for name in ("predict", "descriptors", "targets", "units")):
        raise CandidateError(
            "a posterior that predicts",
            f"{type(post).__name__}",
            "arguments in another order, or something that was not sampled",
            "pass cp.JointPosterior(idata), or what cp.fit returns",
        )
    return post


def as_posterior(post: Any) -> JointPosterior:
    """Return a joint posterior, or refuse what is none.

    Raises
    ------
    CandidateError
    """
    found = as_predictive(post)
    if not isinstance(found, JointPosterior):
        raise CandidateError(
            "a JointPosterior",
            f"{type(post).__name__}",
            "a model of another kind, whose parameters have other names",
            "pass cp.JointPosterior(idata), or what cp.fit returns",
        )
    return found


def refuse_table(table: Any, *, optional: bool = True) -> None:
    """Refuse rows that do not say which columns are descriptors and which targets."""
    if isinstance(table, Table) or (optional and table is None):
        return
    raise CandidateError(
        "a table",
        type(table).__name__,
        "a data frame does not say which columns are descriptors and which targets",
        "make one: Table.from_frame(frame, descriptors, targets)",
    )


def refuse_prob(prob: Any, name: str = "prob") -> None:
    """Refuse what is no content of a band."""
    if isinstance(prob, int | float) and 0 < prob < 1:
        return
    raise CandidateError(
        f"{name} between 0 and 1", f"{prob!r}", "a percentage", "write 0.9, not 90"
    )


def numbers_of(post: Predictive) -> tuple[str, ...]:
    """Descriptors that are numbers."""
    return tuple(d for d in post.descriptors if not isinstance(d, Category))


def number_among(post: Predictive, name: str | None, taken: Sequence[str] = ()) -> str:
    """Name of a descriptor that is a number; by default the first one that is not taken.

    Raises
    ------
    CandidateError
        If there is none, or the name is that of something else.
    """
    free = [d for d in numbers_of(post) if d not in taken]
    if name is None and free:
        return free[0]
    if name in free:
        return str(name)
    text = name is not None and name in post.descriptors and name not in numbers_of(post)
    raise CandidateError(
        f"a descriptor that is a number, among {list(numbers_of(post))}"
        + (f", other than {taken[0]!r}" if taken else ""),
        f"{name!r}" if name is not None else f"the descriptors {list(post.descriptors)}",
        f"{name!r} holds text" if text else "a typing error, or too few descriptors for this one",
        "draw one picture for each category by at={...}" if text else "name another descriptor",
    )


def targets_among(post: Predictive, targets: Sequence[str] | str | None) -> tuple[str, ...]:
    """Targets by name, in their order; all of them if none is named."""
    names = post.targets if targets is None else targets
    names = (names,) if isinstance(names, str) else tuple(names)
    unknown = [name for name in names if name not in post.targets]
    if unknown or not names:
        raise CandidateError(
            f"targets among {list(post.targets)}",
            f"{unknown[0]!r}" if unknown else "none",
            "a typing error, or a descriptor among the targets",
            "use the names of the targets",
        )
    return tuple(t for t in post.targets if t in names)


def by_quantity(post: Predictive, targets: Sequence[str]) -> list[tuple[str, ...]]:
    """Targets that may share an axis: of one quantity, or, where none is known, of one unit."""
    design = getattr(getattr(post, "spec", None), "design", None)
    kinds = {t: post.units.get(t, "") for t in post.targets}
    if design is not None:
        kinds = dict(zip(design.targets, design.quantities, strict=True))
    found: dict[str, list[str]] = {}
    for target in targets:
        found.setdefault(kinds[target], []).append(target)
    return [tuple(names) for names in found.values()]


def modelled_by_log(post: Predictive, targets: Sequence[str]) -> bool:
    """Say whether all these targets are modelled by their logarithm."""
    design = getattr(getattr(post, "spec", None), "design", None)
    return design is not None and all(
        design.transforms[design.targets.index(target)] == "log" for target in targets
    )


def rows_of(post: Predictive, table: Table | None) -> pd.DataFrame | None:
    """Rows of a table as a DataFrame; None if there is no table.

    Raises
    ------
    CandidateError
        If it has no rows, or lacks a descriptor.
    """
    if table is None:
        return None
    absent = [d for d in post.descriptors if d not in table.descriptors]
    if absent or not len(table):
        raise CandidateError(
            f"a table with rows and the descriptors {list(post.descriptors)}",
            f"{len(table)} rows, without {absent[0]!r}" if absent else "no rows",
            "a table of another study, or a selection that left nothing",
            "pass the table of the fit, or none",
        )
    return table.to_frame()


def ends_of(post: Predictive, table: Table | None, name: str) -> tuple[float, float]:
    """Range of a number among the rows, else the bounds of the design."""
    design = getattr(getattr(post, "spec", None), "design", None)
    frame = rows_of(post, table)
    if frame is not None:
        values = frame[name].to_numpy(dtype=float)
        values = values[np.isfinite(values)]
        if len(values) and values.max() > values.min():
            return float(values.min()), float(values.max())
    if design is None:
        raise CandidateError(
            f"rows in which {name!r} varies",
            "a table in which it does not" if frame is not None else "no table",
            "the range of the picture is that of the rows",
            "pass table=",
        )
    place = design.descriptors.index(name)
    low, high = (design.bounds or (design.basis.domain,) * len(design.descriptors))[place]
    return float(low), float(high)


def held_at(
    post: Predictive, table: Table | None, at: Mapping[str, Any] | None, free: Sequence[str]
) -> Held:
    """Value of every descriptor that is not ``free``: as said by ``at``, else of the rows.

    Of the rows: the median of a number, the most frequent category. Without rows: the middle of
    the bounds of the design, the first category.

    Raises
    ------
    CandidateError
        If ``at`` names something else, or a value that does not exist.
    """
    if not isinstance(at, Mapping | None):
        raise CandidateError(
            "at as a mapping of descriptors to values",
            f"{at!r}",
            "values without their names",
            "for example at={'T': 300.0}",
        )
    given, frame, found = dict(at or {}), rows_of(post, table), {}
    rest = [d for d in post.descriptors if d not in free]
    strange = [name for name in given if name not in rest]
    if strange:
        raise CandidateError(
            f"at with descriptors among {[str(d) for d in rest]}",
            f"{strange[0]!r}",
            "the picture runs along it" if strange[0] in free else "a typing error",
            "leave it out",
        )
    for name in rest:
        if name in given:
            found[str(name)] = _value(name, given[name])
            continue
        cells = None if frame is None else frame[name].dropna()
        if isinstance(name, Category):
            usual = () if cells is None else tuple(cells.mode())
            found[str(name)] = (*usual, *name.categories)[0]
        elif cells is not None and len(cells):
            found[str(name)] = float(np.median(cells))
        else:
            found[str(name)] = float(np.mean(ends_of(post, None, name)))
    return found


def _value(name: str, value: Any) -> Any:
    """Check one value of ``at``."""
    if isinstance(name, Category):
        if value in name.categories:
            return value
        expected = f"a category of {str(name)!r} in at: {name.listed}"
    else:
        if isinstance(value, int | float | np.number):
            return float(value)
        expected = f"a number for {name!r} in at"
    raise CandidateError(expected, f"{value!r}", "a typing error", "correct it, or leave it out")


def points_at(post: Predictive, held: Held, columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Candidates along ``columns``, the other descriptors held."""
    size = len(next(iter(columns.values())))
    return pd.DataFrame(
        {d: columns[d] if d in columns else [held[d]] * size for d in map(str, post.descriptors)}
    )


def draws_at(
    post: Predictive, frame: pd.DataFrame, targets: Sequence[str], **options: Any
) -> dict[str, np.ndarray]:
    """Draws (sample, candidate) of each target.

    Raises
    ------
    CandidateError
        If one cannot be predicted because a descriptor is missing.
    """
    draws = post.predict(frame, **options).draws
    found = {t: draws.sel(target=t).to_numpy() for t in targets}
    for target, values in found.items():
        if np.isnan(values).any():
            missing = [d for d in frame.columns if frame[d].isna().any()]
            raise CandidateError(
                f"a value of every descriptor that {target!r} depends on",
                f"predictions that are NaN, {missing} missing",
                "at holds no number for it",
                f"give one, or draw other targets than {target!r}",
            )
    return found


def near_by(post: Predictive, table: Table, held: Held, target: str) -> np.ndarray:
    """Boolean (row): within a tenth of the range of what is held, as far as the target uses it.

    A row that lacks a descriptor is not told from those that are near in it.
    """
    frame = rows_of(post, table)
    assert frame is not None
    uses = getattr(post, "uses", lambda _: post.descriptors)(target)
    near = np.ones(len(frame), dtype=bool)
    for name, value in held.items():
        if name not in uses:
            continue
        if isinstance(value, str):
            near &= (frame[name] == value).to_numpy() | frame[name].isna().to_numpy()
            continue
        cells = frame[name].to_numpy(dtype=float)
        width = np.ptp(cells[np.isfinite(cells)]) if np.isfinite(cells).any() else 0.0
        near &= np.isnan(cells) | (np.abs(cells - value) <= NEAR * width + 1e-12)
    return near


def in_words(held: Held, units: Mapping[str, str], width: int = 80) -> str:
    """Say what is held, in lines of ``width`` letters; empty if nothing is."""
    parts = [
        f"{name} = {value if isinstance(value, str) else number(value, units.get(name, ''))}"
        for name, value in held.items()
    ]
    if len(parts) > MOST_NAMED:
        rest = len(parts) - MOST_NAMED + 1
        parts = [*parts[: MOST_NAMED - 1], f"{rest} others where the rows have their medians"]
    kept = [part.replace(" ", "\u00a0") for part in parts]  # no line ends within a part
    return textwrap.fill("at " + ", ".join(kept), width).replace("\u00a0", " ") if parts else ""


def labelled(names: Sequence[str], units: Mapping[str, str]) -> str:
    """Label of an axis that several targets of one unit share."""
    shared = {units.get(name, "") for name in names}
    if len(shared) == 1:
        unit = shared.pop()
        return _lines(names) + (f" [{unit}]" if unit else "")
    return _lines([axis_label(name, units) for name in names])


def _lines(names: Sequence[str]) -> str:
    """Names in a line, or one below the other if they are long."""
    text = ", ".join(names)
    return text if len(text) <= 36 else ",\n".join(names)
