"""Draws from the posterior: exactly where that works, else by the no-U-turn sampler."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xarray as xr

from claude_pymc.errors import Notice, PosteriorWarning, SamplingError
from claude_pymc.joint.convergence import convergence
from claude_pymc.joint.exact import MOST_DIMS, dims_of, draw_exact
from claude_pymc.joint.inputs import data_of
from claude_pymc.joint.propriety import refuse_improper
from claude_pymc.joint.settings import refuse_seed
from claude_pymc.joint.spec import JointGaussian, refuse_chosen
from claude_pymc.tables.statistics import PatternStats, notice_unmeasured

if TYPE_CHECKING:  # loading PyMC takes seconds
    from claude_pymc.joint.nuts import Backend, NutsSampler

Method = Literal["auto", "exact", "nuts"]
TUNE = 800


class Sampler:
    """Draws for any statistics of one specification.

    Parameters
    ----------
    spec : JointGaussian
    backend : "auto", "nutpie", "pymc" or "numpyro"
        Of the no-U-turn sampler: "auto" takes nutpie where it is installed; "numpyro" needs the
        extra ``jax``.
    method : "auto", "exact" or "nuts"
        "exact" integrates the corrections out and draws linkage, noise and scales by importance
        sampling: nearly independent draws, nothing to compile. "nuts" compiles the full model once.
        "auto" draws exactly where its checks allow, else by the no-U-turn sampler on the collapsed
        model. "exact" does the same, and says so. Where terms are chosen by evidence, draws are
        exact or not to be believed (`convergence` says so): there is no model to fall back to.
        A ``backend`` that is named asks for "nuts".

    Examples
    --------
    >>> table = cp.Study.named("toy_pair").table()
    >>> spec = cp.Study.named("toy_pair").spec(table)
    >>> rows = [PatternStats.from_table(table.rows([i]), spec.design) for i in range(len(table.x))]
    >>> sampler, stats = Sampler(spec), sum(rows[1:], rows[0])
    >>> before = sampler.draw(stats, seed=0)
    >>> after = sampler.draw(stats + rows[0], seed=0)  # one more row, nothing compiled anew
    """

    def __init__(
        self, spec: JointGaussian, backend: Backend = "auto", *, method: Method = "auto"
    ) -> None:
        if method not in get_args(Method):
            raise SamplingError(
                f"a method among {list(get_args(Method))}",
                f"{method!r}",
                "a typing error",
                "use method='auto'",
            )
        if method == "exact" and backend != "auto":
            raise SamplingError(
                "no backend for method 'exact'",
                f"backend {backend!r}",
                "a backend is a no-U-turn sampler",
                "leave the backend out, or use method='nuts'",
            )
        if method == "nuts" or backend != "auto":
            refuse_chosen(spec, "the no-U-turn sampler")
        self.spec, self.backend = spec, backend
        self.method: Method = "nuts" if backend != "auto" else method
        if self.method == "nuts" and spec.needs == "statistics":
            self.nuts = self._compile(collapse=False)  # now, not with the first draw

    @cached_property
    def nuts(self) -> NutsSampler:
        """The compiled full model."""
        return self._compile(collapse=False)

    @cached_property
    def collapsed(self) -> NutsSampler:
        """The compiled model without the corrections."""
        return self._compile(collapse=True)

    def _compile(self, *, collapse: bool) -> NutsSampler:
        from claude_pymc.joint.nuts import NutsSampler

        return NutsSampler(self.spec, "auto" if collapse else self.backend, collapse=collapse)

    def draw(
        self,
        stats: PatternStats,
        *,
        draws: int = 1000,
        tune: int = TUNE,
        chains: int = 4,
        seed: int | None = None,
        target_accept: float | None = None,
        progress: bool = False,
    ) -> xr.DataTree:
        """Draw from the posterior given ``stats``.

        Parameters
        ----------
        stats : PatternStats
        draws, chains : int
            Kept draws per chain, and number of chains; "exact" deals its independent draws out to
            chains.
        tune : int
            Warm-up draws per chain of the no-U-turn sampler.
        seed : int, optional
            The same seed, machine and versions give the same draws.
        target_accept : float, optional
            Of the no-U-turn sampler: by default 0.95, and once or twice more with smaller steps if
            a draw diverged.
        progress : bool
            Show a progress bar.

        Returns
        -------
        DataTree
            Group ``posterior`` (dims chain, draw and those of `claude_pymc.notation`), with NUTS
            also ``sample_stats``; specification, hash of the statistics, seed, method, checks of
            the importance weights and versions in ``attrs``.

        Raises
        ------
        StatisticsError
            If the statistics belong to another design.
        SamplingError
            If a flat prior meets rows that do not determine the posterior.
        """
        for name, value, least in (("draws", draws, 4), ("tune", tune, 1), ("chains", chains, 1)):
            if not isinstance(value, int | np.integer) or value < least:
                raise SamplingError(
                    f"{name} as a whole number of at least {least}",
                    f"{value!r}",
                    "a broken or too small number",
                    f"give {name} as an int",
                )
        data_of(self.spec, stats)
        refuse_improper(self.spec, stats)
        refuse_seed(seed)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        settings: dict[str, Any] = {"draws": draws, "chains": chains, "seed": seed}
        more: dict[str, Any] = {"tune": tune, "target_accept": target_accept, "progress": progress}
        if self.spec.design.chosen:  # of what its weights say, `convergence` judges
            return draw_exact(self.spec, stats, **settings, progress=progress)[0]
        if self.method == "nuts":
            return self._nuts_for(stats).draw(stats, **settings, **more)
        dims = dims_of(self.spec, stats)
        reason = f"{dims} dimensions remain, more than {MOST_DIMS}"
        if dims <= MOST_DIMS:
            tree, reason = draw_exact(self.spec, stats, **settings, progress=progress)
            if not reason:
                return tree
        if self.method == "exact":
            warnings.warn(
                f"{reason}: drawn by the no-U-turn sampler on the collapsed model instead",
                Notice,
                stacklevel=3,
            )
        if self.spec.needs == "rows":
            return self._nuts_for(stats).draw(stats, **settings, **more)
        return self.collapsed.draw(stats, **settings, **more)

    def _nuts_for(self, stats: PatternStats) -> NutsSampler:
        """Return the full model; where rows are needed, one for these rows."""
        if self.spec.needs == "statistics":
            return self.nuts
        from claude_pymc.joint.nuts import NutsSampler

        return NutsSampler(self.spec, self.backend, stats=stats)


def sample(
    spec: JointGaussian,
    stats: PatternStats,
    *,
    method: Method = "auto",
    backend: Backend = "auto",
    draws: int = 1000,
    tune: int = TUNE,
    chains: int = 4,
    seed: int | None = None,
    target_accept: float | None = None,
    progress: bool = False,
) -> xr.DataTree:
    """Draw from the posterior; see :class:`Sampler` for repeated use.

    A posterior that fails a convergence check is returned with a :class:`PosteriorWarning`.

    Parameters
    ----------
    spec : JointGaussian
    stats : PatternStats
    method, backend, draws, tune, chains, seed, target_accept, progress
        As in :class:`Sampler` and :meth:`Sampler.draw`.

    Returns
    -------
    DataTree
        As :meth:`Sampler.draw`.

    Examples
    --------
    >>> from claude_pymc.tables.design import Design
    >>> from claude_pymc.tables.table import Table
    >>> rows = Table(["x"], ["y"], [[0.0], [0.5], [1.0]], [[0.0], [1.0], [1.0]])
    >>> stats = PatternStats.from_table(rows, Design.from_table(rows))
    >>> sample(JointGaussian(stats.design), stats, seed=0).attrs["method"]
    'exact'
    """
    refuse_improper(spec, stats)  # before a minute of compilation
    notice_unmeasured(stats)
    tree = Sampler(spec, backend, method=method).draw(
        stats,
        draws=draws,
        tune=tune,
        chains=chains,
        seed=seed,
        target_accept=target_accept,
        progress=progress,
    )
    failed = [str(check) for check in convergence(tree) if not check.passed]
    if failed:
        warnings.warn("\n".join(failed), PosteriorWarning, stacklevel=2)
    return tree
