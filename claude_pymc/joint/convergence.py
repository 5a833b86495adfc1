"""Checks of convergence, on which it depends whether a posterior may be believed.

R-hat and effective sample sizes are those of Vehtari et al., Bayesian Analysis 16, 667 (2021),
over every free quantity of the joint Gaussian; E-BFMI is that of Betancourt, arXiv 1604.00695.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from claude_pymc.errors import SamplingError
from claude_pymc.notation import CHAIN, DRAW

RHAT, ESS, EBFMI, K_HAT = 1.01, 400.0, 0.3, 0.7
WATCHED = (
    *("sigma", "linkage", "corrections", "varying", "freedom", "source_sigma"),
    *("scale", "length", "joint_mean", "joint_covariance"),
)


@dataclass(frozen=True)
class Check:
    """One check: what was measured, what was asked, and what to do if it failed.

    Parameters
    ----------
    name, value, threshold : str
        As a person reads them.
    passed : bool or None
        None: information only, which neither passes nor fails.
    advice : str
        What to do about a failure.
    about : str
        "draws", "model", "prior", "linkage" or "use": of what it is a check.
    """

    name: str
    value: str
    threshold: str
    passed: bool | None
    advice: str
    about: str = "draws"

    @property
    def state(self) -> str:
        """Return "passed", "failed" or "information"."""
        return {True: "passed", False: "failed", None: "information"}[self.passed]

    def __str__(self) -> str:
        """Return one line."""
        if self.passed is None:
            return f"note    {self.name}: {self.value}"
        line = f"{'passed' if self.passed else 'FAILED'}  {self.name}: {self.value}"
        line = f"{line} (asked: {self.threshold})"
        return line if self.passed else f"{line}; {self.advice}"


def convergence(idata: Any) -> tuple[Check, ...]:
    """Check R-hat, effective sample sizes, divergences and E-BFMI of chains, or exact draws.

    Exact draws are independent and dealt out to chains: what can be wrong with them are the
    importance weights, so that k-hat and the effective size of those are checked instead.

    Parameters
    ----------
    idata : DataTree
        With a group ``posterior`` and, for NUTS, ``sample_stats``.

    Raises
    ------
    SamplingError
        If there is no posterior group.
    """
    names, draws = _watched(idata)
    if "k_hat" in idata.attrs:
        return _weights(idata.attrs, names, draws)
    if idata.attrs.get("method") == "prior":  # independent draws
        return (_all_vary(names, draws, "draw more"),)
    rhat, bulk, tail = _rhat_and_ess(draws)
    more = "draw more (draws=...), or simplify the corrections"
    checks = [
        _check("R-hat, largest", rhat, names, f"at most {RHAT}", rhat <= RHAT, np.nanargmax, more),
        _check(
            "ESS bulk, least", bulk, names, f"at least {ESS:g}", bulk >= ESS, np.nanargmin, more
        ),
        _check(
            "ESS tail, least", tail, names, f"at least {ESS:g}", tail >= ESS, np.nanargmin, more
        ),
    ]
    if "sample_stats" in idata.children:
        stats = idata["sample_stats"].dataset
        if "diverging" in stats:
            count = int(stats["diverging"].sum())
            checks.append(
                Check(
                    "divergences",
                    f"{count} of {stats['diverging'].size} draws",
                    "none",
                    count == 0,
                    "sample with a larger target_accept, or look for parameters that the rows do "
                    "not determine",
                )
            )
        if "energy" in stats:
            energy = stats["energy"].transpose(CHAIN, DRAW).to_numpy()
            moved = np.square(np.diff(energy, axis=1)).mean(axis=1)
            bfmi = moved / np.maximum(energy.var(axis=1), 1e-300)
            checks.append(
                Check(
                    "E-BFMI, least chain",
                    f"{bfmi.min():.2f}",
                    f"at least {EBFMI}",
                    bool(bfmi.min() >= EBFMI),
                    "draw more, or use a narrower prior on the scales",
                )
            )
    return tuple(checks)


def _weights(attrs: Any, names: list[str], draws: np.ndarray) -> tuple[Check, ...]:
    """Judge draws (quantity, chain, draw) of method "exact" by their importance weights."""
    k_hat = float(attrs["k_hat"])
    ess = min(float(attrs["importance_ess"]), draws[0].size)  # some may have been left out since
    other = "draw more, or name the corrections" if "ranking" in attrs else "use method='nuts'"
    return (
        Check("k-hat", f"{k_hat:.2f}", f"at most {K_HAT}", k_hat <= K_HAT, other),
        Check("ESS of the weights", f"{ess:.0f}", f"at least {ESS:g}", ess >= ESS, "draw more"),
        _all_vary(names, draws, other),
    )


def _all_vary(names: list[str], draws: np.ndarray, advice: str) -> Check:
    """Check that every quantity has more than one value."""
    stuck = _stuck(draws)
    shown = f"{names[int(stuck.argmax())]} does not" if stuck.any() else "all do"
    return Check("draws vary", shown, "every quantity", not stuck.any(), advice)


def _stuck(draws: np.ndarray) -> np.ndarray:
    """Say of which quantities (quantity, chain, draw) there is one value, or one not finite."""
    return ~np.isfinite(draws).all(axis=(1, 2)) | (np.ptp(draws, axis=(1, 2)) == 0.0)


def _watched(idata: Any) -> tuple[list[str], np.ndarray]:
    """Names and draws (quantity, chain, draw) of everything that varies."""
    if "posterior" not in getattr(idata, "children", {}):
        raise SamplingError(
            "draws with a group 'posterior'",
            f"groups {list(getattr(idata, 'children', {}))}",
            "a prior or predictive sample, or a file of another package",
            "pass the result of cp.sample",
        )
    posterior = idata["posterior"].dataset
    known = [name for name in WATCHED if name in posterior]
    numbers = [str(n) for n, array in posterior.data_vars.items() if array.dtype.kind in "fiub"]
    stacked = [n for n in known or numbers if not {CHAIN, DRAW} <= set(posterior[n].dims)]
    if stacked:
        raise SamplingError(
            f"draws over {[CHAIN, DRAW]}",
            f"{stacked[0]!r} over {list(posterior[stacked[0]].dims)}",
            "draws of another package, or a group whose draws were stacked",
            "keep chain and draw as dimensions: posterior.unstack()",
        )
    names, draws = [], []
    for name in known or numbers:
        values = posterior[name].transpose(CHAIN, DRAW, ...)
        flat = values.to_numpy().reshape(*values.shape[:2], -1)
        dims = [(d, n) for d, n in zip(values.dims[2:], values.shape[2:], strict=True)]
        labels = [values[d].to_numpy() if d in values.coords else range(n) for d, n in dims]
        places = list(itertools.product(*labels))
        moving = (flat != 0.0).any(axis=(0, 1))  # the others are structural zeros
        if not known:  # of another model, where a diagonal may be one
            moving = ~((flat == flat[:1, :1]).all(axis=(0, 1)) & np.isfinite(flat[0, 0]))
        for i in np.flatnonzero(moving):
            place = ", ".join(map(str, places[i]))
            names.append(f"{name}[{place}]" if place else name)
            draws.append(flat[..., i])
    if not draws or all(np.ptp(values) == 0.0 for values in draws):
        raise SamplingError(
            "draws that vary",
            "constant draws",
            "a sampler that never moved",
            "sample again with another seed and more tuning",
        )
    return names, np.stack(draws)


def _rhat_and_ess(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R-hat, bulk and tail ESS for draws (quantity, chain, draw)."""
    from arviz_stats.base import array_stats

    def over(method: str, kind: str) -> np.ndarray:
        function = getattr(array_stats, kind)
        extra = {"prob": (0.05, 0.95)} if method == "tail" else {}
        with np.errstate(all="ignore"):
            return np.array(
                [function(q, chain_axis=0, draw_axis=1, method=method, **extra) for q in draws]
            )

    figures = over("rank", "rhat"), over("bulk", "ess"), over("tail", "ess")
    for figure in figures:
        figure[_stuck(draws)] = np.nan  # not a number, or one value in all chains: never a pass
    return figures


def _check(
    name: str,
    values: np.ndarray,
    names: list[str],
    threshold: str,
    passed: np.ndarray,
    worst: Any,
    advice: str,
) -> Check:
    """Judge one figure over all quantities; NaN counts as a failure."""
    if np.isnan(values).all():
        return Check(name, "not computable", threshold, False, "sample at least four chains")
    lost = np.flatnonzero(np.isnan(values))
    at = int(lost[0]) if len(lost) else int(worst(values))
    shown = f"{values[at]:.3f}" if "R-hat" in name else f"{values[at]:.0f}"
    return Check(name, f"{shown} for {names[at]}", threshold, bool(passed.all()), advice)
