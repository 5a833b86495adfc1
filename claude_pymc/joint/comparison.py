r"""Specifications compared by evidence: bases, linkages, noise models of the same values.

With prior odds o_k and evidence Z_k = p(y | k), the probability of specification k is

    P(k | y) = o_k Z_k / sum_l o_l Z_l,

and predictions are mixed in these proportions (Hoeting et al., Stat. Sci. 14, 382 (1999)). The
evidence is a density of the scaled targets: it compares only where scaling and values are alike.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from claude_pymc.errors import Notice, PosteriorWarning, SpecError
from claude_pymc.joint.averaged_prediction import AveragedPosterior
from claude_pymc.joint.exact import draw_exact
from claude_pymc.joint.inputs import data_of
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.rows import attach_rows
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.statistics import PatternStats, notice_unmeasured
from claude_pymc.tables.table import Table

Stats = PatternStats | Mapping[str, PatternStats] | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Specifications in the order of their probability.

    Parameters
    ----------
    table : DataFrame
        By name: log_evidence of the scaled targets, its Monte Carlo standard error se, prior_odds
        (relative), probability; with rows also elpd, the log density of values of the primary
        target left out one by one, its standard error elpd_se, and elpd_warning where p-hat says
        that it is not reliable.
    posterior : AveragedPosterior
        Predicts with all of them, in proportion.
    """

    table: pd.DataFrame
    posterior: AveragedPosterior

    def __str__(self) -> str:
        """Return the table, rounded."""
        return self.table.round(
            {name: 2 for name in self.table if name != "probability"}
        ).to_string(formatters={"probability": "{:.3f}".format})

    __repr__ = __str__


def compare(
    specs: Mapping[str, JointGaussian],
    stats: Stats = None,
    table: Table | None = None,
    *,
    prior_odds: Mapping[str, float] | None = None,
    draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
) -> Comparison:
    """Compare specifications of the same values by their evidence.

    Parameters
    ----------
    specs : mapping of name to JointGaussian
        With proper priors, the same descriptors and the same scaled targets; bases, corrections,
        linkages, noise and priors may differ.
    stats : PatternStats, or mapping of name to PatternStats
        One for all if the designs are equal. May be left out where ``table`` is given.
    table : Table, optional
        The rows: statistics of other designs are made from it, and elpd is computed.
    prior_odds : mapping of name to positive number, optional
        By default 1 for each.
    draws, chains, seed : int
        Of each specification.

    Returns
    -------
    Comparison

    Raises
    ------
    SpecError
        If evidences cannot be compared: improper priors, other targets, another scaling, other
        rows.

    Warns
    -----
    PosteriorWarning
        If the draws of a specification, and so its evidence, cannot be trusted.

    Examples
    --------
    >>> table, basis = cp.simulate("toy_pair", seed=0), cp.Polynomial(degree=3)
    >>> sets = {"offset": {"exp": ["1"]}, "slope": {"exp": ["1", "x"]}}
    >>> designs = {name: cp.Design.from_table(table, basis, kept) for name, kept in sets.items()}
    >>> found = compare({name: JointGaussian(d) for name, d in designs.items()}, table=table)
    >>> mean = found.posterior.predict(cp.mesh(x=[0.2, 0.8])).mean()  # averaged over both
    """
    if not isinstance(specs, Mapping) or not specs:
        raise SpecError(
            "specifications by name",
            f"{specs!r}",
            "a list, or nothing to compare",
            'give a mapping: compare({"linear": spec, ...}, stats)',
        )
    refuse_unlike(specs)
    odds = _odds(specs, prior_odds)
    condensed = {name: _stats_of(name, spec, stats, table) for name, spec in specs.items()}
    _refuse_other_rows(condensed)
    notice_unmeasured(next(iter(condensed.values())))
    rows, posteriors = {}, {}
    for name, spec in specs.items():
        data_of(spec, condensed[name])
        tree, reason = draw_exact(spec, condensed[name], draws=draws, chains=chains, seed=seed)
        if reason:
            text = f"{name!r}: {reason}; its evidence is not reliable"
            warnings.warn(text, PosteriorWarning, stacklevel=2)
        rows[name] = {
            "log_evidence": float(tree.attrs["log_evidence"]),
            "se": float(tree.attrs["log_evidence_se"]),
            "prior_odds": odds[name],
        }
        if table is not None:
            rows[name] |= _left_out(attach_rows(tree, table, spec, seed), spec)
        posteriors[name] = JointPosterior(tree, spec)
    found = pd.DataFrame.from_dict(rows, orient="index")
    weight = found["log_evidence"] + np.log(found["prior_odds"])
    found.insert(3, "probability", np.exp(weight - logsumexp(weight)))
    found = found.sort_values("probability", ascending=False)
    order = {str(name): posteriors[str(name)] for name in found.index}
    return Comparison(found, AveragedPosterior(order, tuple(found["probability"])))


def refuse_unlike(specs: Mapping[str, JointGaussian]) -> None:
    """Refuse specifications whose evidences are not of the same values."""
    first_name, first = next(iter(specs.items()))
    for name, spec in specs.items():
        if not spec.prior.proper:
            raise SpecError(
                "specifications with proper priors",
                f"{name!r} with {spec.prior!r}",
                "an improper prior has no evidence",
                "use ShrinkagePrior or LKJPrior",
            )
        for what, ours, theirs in (
            ("targets", spec.design.targets, first.design.targets),
            ("descriptors", spec.design.descriptors, first.design.descriptors),
            ("transforms", spec.design.transforms, first.design.transforms),
            ("likelihood", spec.likelihood, first.likelihood),
        ):
            if ours != theirs:
                raise SpecError(
                    f"the same {what} in all specifications",
                    f"{ours!r} of {name!r}, {theirs!r} of {first_name!r}",
                    "the evidence is a density of the values, which must be the same ones",
                    f"compare specifications with equal {what}",
                )
        for what, a, b in (
            ("location", spec.design.location, first.design.location),
            ("scale", spec.design.scale, first.design.scale),
        ):
            if not np.allclose(a, b, rtol=1e-9, atol=0.0):
                raise SpecError(
                    f"the same {what} of the targets in all specifications",
                    f"{a} of {name!r}, {b} of {first_name!r}",
                    "designs of other rows, or of one without the constant: the evidence is a "
                    "density of the scaled targets",
                    "make all designs from the same table, each with the constant, or from "
                    "the same ranges",
                )


def _odds(
    specs: Mapping[str, JointGaussian], given: Mapping[str, float] | None
) -> dict[str, float]:
    """Prior odds of each specification."""
    odds = {name: 1.0 for name in specs} | dict(given or {})
    wrong = [n for n, v in odds.items() if n not in specs or not 0.0 < v < math.inf]
    if wrong:
        raise SpecError(
            f"positive prior odds of {list(specs)}",
            f"{wrong[0]!r}: {odds[wrong[0]]!r}",
            "a typing error, or a specification that is ruled out",
            "leave out what has no chance, and name the others as in specs",
        )
    return odds


def _stats_of(name: str, spec: JointGaussian, stats: Stats, table: Table | None) -> PatternStats:
    """Statistics for one specification: given, or condensed from the rows."""
    given = stats.get(name) if isinstance(stats, Mapping) else stats
    needs = spec.needs == "rows"
    if given is not None and given.design == spec.design and (given.kept is not None or not needs):
        return given
    if table is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)
            return PatternStats.from_table(table, spec.design, rows=needs)
    raise SpecError(
        f"statistics of the design of {name!r}" + (", with its rows" if needs else ""),
        "none, or those of another design",
        "another basis or other corrections make another design",
        "pass table=, or stats={name: PatternStats.from_table(table, spec.design, rows=True), ...}",
    )


def _refuse_other_rows(stats: Mapping[str, PatternStats]) -> None:
    """Refuse statistics of different rows."""
    first_name, first = next(iter(stats.items()))
    counts = [first.measured(target) for target in first.design.targets]
    for name, other in stats.items():
        theirs = [other.measured(target) for target in other.design.targets]
        if theirs != counts:
            raise SpecError(
                "statistics of the same rows for all specifications",
                f"{theirs} values by target for {name!r}, {counts} for {first_name!r}",
                "tables of different rows",
                "condense the same table with each design",
            )


def _left_out(tree: Any, spec: JointGaussian) -> dict[str, Any]:
    """Log density of values of the primary target, each left out of the fit."""
    import arviz as az

    primary = spec.design.targets[-1]
    if primary not in tree["log_likelihood"]:
        return {"elpd": math.nan, "elpd_se": math.nan, "elpd_warning": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # said in the table instead
        found = az.loo(tree, var_name=primary)
    return {
        "elpd": float(found.elpd),
        "elpd_se": float(found.se),
        "elpd_warning": bool(found.warning),
    }
