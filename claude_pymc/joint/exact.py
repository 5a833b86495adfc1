r"""The exact posterior without Markov chains, and the evidence.

Linkage, noise and scales (d (d + 1) / 2 dimensions and a few scales) are drawn by adaptive
importance sampling from their marginal posterior, the corrections given them from their Gaussian.
No model is compiled: the loops are numba's, cached on disk.

The evidence log p(y) is the mean of the same weights. It refers to the standardised targets of the
design: compare specifications on one design of targets (other bases, corrections or priors), not
designs of different scaling.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from claude_pymc.errors import PosteriorWarning, SpecError
from claude_pymc.joint.averaged import draw_averaged
from claude_pymc.joint.chain import draw_chain, nested
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.convergence import K_HAT
from claude_pymc.joint.draws import posterior_dataset, tree_of
from claude_pymc.joint.importance import Weighted, importance_sample
from claude_pymc.joint.inputs import arrays_of, data_of
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.progress import shown
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.statistics import PatternStats

STARTS = 100
MOST_DIMS = 15
MANY = 10  # dimensions beyond which targets are drawn one after the other, if they can be


@threadpool_limits.wrap(1, user_api="blas")  # small matrices: threads would wait for each other
def draw_exact(
    spec: JointGaussian,
    stats: PatternStats,
    *,
    draws: int,
    chains: int,
    seed: int,
    progress: bool = False,
) -> tuple[xr.DataTree, str]:
    """Draw from the posterior, and say why the draws should not be used, if so.

    Parameters
    ----------
    spec : JointGaussian
    stats : PatternStats
    draws, chains : int
        Independent draws are dealt out to ``chains``, for tools that expect chains.
    seed : int
    progress : bool
        Show the stage of draws that take longer than a second.

    Returns
    -------
    DataTree, str
        The reason is empty if the draws can be trusted.
    """
    settings: dict[str, Any] = {"draws": draws, "chains": chains, "seed": seed}
    if spec.design.chosen:
        with shown("exact draws", progress=progress) as stage:
            return draw_averaged(spec, stats, **settings, stage=stage)
    if chained(spec, stats):
        with shown("exact draws", progress=progress) as stage:

            def cheaper(less: JointGaussian, left: PatternStats) -> tuple[xr.DataTree, str]:
                stage("cheaper targets")
                return draw_exact(less, left, **settings)

            tree, found, reason = draw_chain(spec, stats, cheaper, **settings, stage=stage)
        return tree, reason or _distrust(found, draws * chains)
    rng = np.random.default_rng(seed)
    density = CollapsedPosterior(spec, **arrays_of(spec, stats))
    starts = density.starts(STARTS, rng)
    with shown("exact draws", progress=progress) as stage:
        found = importance_sample(density, starts, draws * chains, rng, stage)
    drawn = density.columns(*found.resample(draws * chains, rng))
    columns = [v.reshape(chains, draws, *v.shape[1:]) for v in drawn]
    named = (("scale", "group", columns[3]), ("length", "kernel", columns[4]))
    learned = named if density.scales is not None else ()
    others = {name: ((dim,), values) for name, dim, values in learned if values.shape[-1]}
    posterior = posterior_dataset(spec, columns[0], columns[1], columns[2], others)
    attrs = {
        "seed": int(seed),
        "method": "exact",
        "k_hat": found.k_hat,
        "importance_ess": found.ess_of(draws * chains),
        "evaluations": found.evaluations,
    }
    if spec.prior.proper:
        attrs |= {"log_evidence": found.log_evidence, "log_evidence_se": found.log_evidence_se}
    return tree_of(spec, stats, posterior, None, attrs), _distrust(found, draws * chains)


def chained(spec: JointGaussian, stats: PatternStats) -> bool:
    """Say whether the primary target is drawn given the cheaper ones, not together with them.

    It must be where it needs rows. It may be where each of its rows has all cheaper values, or
    where rows are kept, and is where that saves many dimensions.
    """
    if spec.needs == "rows":
        return True
    shrinkage = isinstance(spec.prior, ShrinkagePrior) and spec.likelihood == "conditional"
    if not shrinkage or len(spec.design.targets) < 2:
        return False
    dims = len(spec.columns.links) + len(spec.design.targets) + len(spec.groups + spec.lengths)
    return dims > MANY and (nested(stats) or (dims > MOST_DIMS and stats.kept is not None))


def dims_of(spec: JointGaussian, stats: PatternStats) -> int:
    """Count the dimensions that importance sampling has to explore at once."""
    if not chained(spec, stats):
        return CollapsedPosterior(spec, **arrays_of(spec, stats)).dims
    own = sum(j == len(spec.design.targets) - 1 for j, _ in spec.groups + spec.lengths)
    cheap = len(spec.groups) + len(spec.lengths) - own + len(spec.links) + len(spec.design.targets)
    return max(own + max(len(spec.sources), 1) + (spec.noise == "student"), cheap)


def _distrust(found: Weighted, wanted: int) -> str:
    """Why weighted draws should not be used, or nothing."""
    if not found.k_hat <= K_HAT:
        return f"k-hat of the importance weights is {found.k_hat:.2f}, above {K_HAT}"
    if found.ess < 0.5 * wanted:
        return f"{found.ess:.0f} effective draws were found, {wanted} are wanted"
    return ""


@dataclass(frozen=True)
class Evidence:
    """Log marginal likelihood of a specification.

    Parameters
    ----------
    log_evidence : float
        log p(y), natural logarithm, of the standardised targets.
    se : float
        Monte Carlo standard error.
    k_hat : float
        Of the importance weights; above 0.7 the error cannot be trusted.
    ess : float
        Effective number of draws behind it.
    """

    log_evidence: float
    se: float
    k_hat: float
    ess: float

    def __str__(self) -> str:
        """Return one line."""
        return f"log evidence {self.log_evidence:.2f} +- {self.se:.2f} (k-hat {self.k_hat:.2f})"


def evidence(
    spec: JointGaussian,
    stats: PatternStats,
    *,
    draws: int = 4000,
    seed: int = 0,
    progress: bool = False,
) -> Evidence:
    r"""Log marginal likelihood of a specification with a proper prior.

    .. math:: \log p(y) = \log \int p(y | \theta) p(\theta) d\theta

    over linkage, noise, corrections and scales, by importance sampling of what remains when the
    corrections are integrated out. Where terms are chosen by evidence: averaged over their sets.

    Parameters
    ----------
    spec : JointGaussian
        With a proper prior.
    stats : PatternStats
    draws : int
        Effective draws aimed at; the error falls with their square root.
    seed : int
    progress : bool
        Show the stage of draws that take longer than a second.

    Returns
    -------
    Evidence
        Of the standardised targets. Differences between specifications are log Bayes factors if
        the targets are scaled alike.

    Raises
    ------
    SpecError
        If the prior is improper: its evidence is not defined.

    Examples
    --------
    >>> from claude_pymc.tables.design import Design
    >>> from claude_pymc.tables.table import Table
    >>> rows = Table(["x"], ["y"], [[0.0], [0.5], [1.0]], [[0.0], [1.0], [1.0]])
    >>> stats = PatternStats.from_table(rows, Design.from_table(rows))
    >>> round(evidence(JointGaussian(stats.design), stats).log_evidence, 1)
    -8.4
    """
    if not spec.prior.proper:
        raise SpecError(
            "a proper prior",
            f"{spec.prior!r}",
            "an improper prior has no normaliser, so that its evidence could be any number",
            "use ShrinkagePrior or LKJPrior",
        )
    data = data_of(spec, stats)
    if spec.design.chosen or chained(spec, stats):
        tree, reason = draw_exact(
            spec, stats, draws=draws // 4, chains=4, seed=seed, progress=progress
        )
        said = tree.attrs
        names = ("log_evidence", "log_evidence_se", "k_hat", "importance_ess")
        if reason:
            warnings.warn(f"{reason}: the evidence is not reliable", PosteriorWarning, stacklevel=2)
        return Evidence(*(float(said[name]) for name in names))
    rng = np.random.default_rng(seed)
    density = CollapsedPosterior(spec, **data)
    starts = density.starts(STARTS, rng)
    with shown("exact draws", progress=progress) as stage:
        found = importance_sample(density, starts, draws, rng, stage, entries=False)
    if not found.k_hat <= K_HAT:
        warnings.warn(
            f"k-hat of the importance weights is {found.k_hat:.2f}, above {K_HAT}: the evidence "
            "and its error are not reliable; use more draws, or a simpler specification",
            PosteriorWarning,
            stacklevel=2,
        )
    return Evidence(found.log_evidence, found.log_evidence_se, found.k_hat, found.ess)
