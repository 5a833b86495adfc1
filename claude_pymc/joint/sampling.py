"""Draws from the posterior: compiled once, fed with any statistics of the same design."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from claude_pymc.errors import PosteriorWarning, SamplingError
from claude_pymc.joint.convergence import convergence
from claude_pymc.joint.gaussian import derived, split_joint
from claude_pymc.joint.inputs import DATA, data_of
from claude_pymc.joint.model import build_model
from claude_pymc.joint.propriety import refuse_improper
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import (
    BASIS,
    CHAIN,
    DRAW,
    JOINT_COLUMNS,
    JOINT_PARAMETERS,
    PARAMETERS,
    TARGET,
    VARIABLE,
    VARIABLE_BIS,
)
from claude_pymc.tables.statistics import PatternStats

Backend = Literal["auto", "nutpie", "pymc", "numpyro"]

# Tried in this order until no draw diverges; the last result is kept whatever it is.
TARGET_ACCEPT = (0.95, 0.99, 0.998)
TUNE = 800


class Sampler:
    """A compiled model that draws for any statistics of its design.

    Parameters
    ----------
    spec : JointGaussian
    backend : "auto", "nutpie", "pymc" or "numpyro"
        "auto" takes nutpie where it is installed; "numpyro" needs the extra ``jax``.

    Examples
    --------
    >>> sampler = Sampler(spec)                         # doctest: +SKIP
    >>> before = sampler.draw(stats, seed=0)            # doctest: +SKIP
    >>> after = sampler.draw(stats + new_row, seed=0)   # doctest: +SKIP
    """

    def __init__(self, spec: JointGaussian, backend: Backend = "auto") -> None:
        if backend not in get_args(Backend):
            raise SamplingError(
                f"a backend among {list(get_args(Backend))}",
                f"{backend!r}",
                "a typing error",
                "choose one of them",
            )
        if backend in ("nutpie", "numpyro") and not find_spec(backend):
            raise SamplingError(
                f"the package {backend} for backend={backend!r}",
                "it is not installed",
                "it comes with an extra, or has no wheel for this machine",
                "pip install 'claude-pymc[jax]'" if backend == "numpyro" else "use backend='auto'",
            )
        self.spec = spec
        self.backend = backend
        if backend == "auto":
            self.backend = "nutpie" if find_spec("nutpie") else "pymc"
        self.model = build_model(spec)
        self._names = [v.name for v in self.model.free_RVs]
        joint = spec.likelihood == "joint"
        self._names += list(JOINT_COLUMNS) if joint else ["linkage", "sigma", "corrections"]
        self._compiled: Any = None
        if self.backend == "nutpie":
            import nutpie

            with threadpool_limits(1, user_api="blas"):
                self._compiled = nutpie.compile_pymc_model(self.model, var_names=self._names)
        elif self.backend == "numpyro":
            from claude_pymc.joint.numpyro_backend import NumpyroModel

            self._compiled = NumpyroModel(self.model, self._names)

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
        draws, tune, chains : int
            Kept and warm-up draws per chain, and number of chains.
        seed : int, optional
            The same seed, machine and versions give the same draws.
        target_accept : float, optional
            By default 0.95, and once or twice more with smaller steps if a draw diverged.
        progress : bool
            Show a progress bar.

        Returns
        -------
        DataTree
            Groups ``posterior`` (dims chain, draw and those of `claude_pymc.notation`) and
            ``sample_stats``; specification, hash of the statistics, seed and versions in ``attrs``.

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
        data = data_of(self.spec, stats)
        refuse_improper(self.spec, stats)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        tries = TARGET_ACCEPT if target_accept is None else (target_accept,)
        run = {"nutpie": self._nutpie, "pymc": self._pymc}.get(self.backend, self._numpyro)
        for accept in tries:
            tree = run(data, draws, tune, chains, seed, accept, progress)
            _refuse_incomplete(tree, draws, self._names)
            if not bool(tree["sample_stats"]["diverging"].any()):
                break
        tree = _tidy(tree, self.spec)
        tree.attrs = {
            "spec": self.spec.to_json(),
            "data_hash": stats.digest,
            "data_sums": json.dumps(stats.sums()),
            "n_rows": stats.n_rows,
            "shared_rows": stats.shared_rows,
            "seed": int(seed),
            "method": "nuts",
            "backend": self.backend,
            "tune": tune,
            "target_accept": accept,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": json.dumps(versions()),
        }
        return tree

    def _nutpie(
        self,
        data: dict[str, np.ndarray],
        draws: int,
        tune: int,
        chains: int,
        seed: int,
        accept: float,
        progress: bool,
    ) -> xr.DataTree:
        import nutpie

        with threadpool_limits(1, user_api="blas"):
            running = nutpie.sample(
                self._compiled.with_data(**data),
                draws=draws,
                tune=tune,
                chains=chains,
                seed=seed,
                target_accept=accept,
                adaptation="low_rank",
                save_warmup=False,
                progress_bar=progress,
                blocking=False,
            )
            try:
                return running.wait()
            except BaseException:
                running.cancel()
                raise

    def _numpyro(
        self,
        data: dict[str, np.ndarray],
        draws: int,
        tune: int,
        chains: int,
        seed: int,
        accept: float,
        progress: bool,
    ) -> xr.DataTree:
        return self._compiled.draw(data, draws, tune, chains, seed, accept, progress)

    def _pymc(
        self,
        data: dict[str, np.ndarray],
        draws: int,
        tune: int,
        chains: int,
        seed: int,
        accept: float,
        progress: bool,
    ) -> xr.DataTree:
        import pymc as pm

        with self.model, threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # convergence is judged by its own checks
            pm.set_data({name: data[name] for name in DATA})
            try:
                return pm.sample(
                    draws=draws,
                    tune=tune,
                    chains=chains,
                    cores=1,
                    random_seed=seed,
                    nuts_sampler="pymc",
                    target_accept=accept,
                    progressbar=progress,
                    compute_convergence_checks=False,
                    var_names=self._names,
                )
            finally:
                pm.set_data(data_of(self.spec, PatternStats.empty(self.spec.design)))


def sample(
    spec: JointGaussian,
    stats: PatternStats,
    *,
    method: Literal["auto", "nuts"] = "auto",
    backend: Backend = "auto",
    draws: int = 1000,
    tune: int = TUNE,
    chains: int = 4,
    seed: int | None = None,
    target_accept: float | None = None,
    progress: bool = False,
) -> xr.DataTree:
    """Compile the model and draw from its posterior; see :class:`Sampler` for repeated use.

    A posterior that fails a convergence check is returned with a :class:`PosteriorWarning`.

    Parameters
    ----------
    spec : JointGaussian
    stats : PatternStats
    method : "auto" or "nuts"
        Both use the no-U-turn sampler.
    backend, draws, tune, chains, seed, target_accept, progress
        As in :class:`Sampler` and :meth:`Sampler.draw`.

    Returns
    -------
    DataTree
        As :meth:`Sampler.draw`.

    Examples
    --------
    >>> idata = sample(spec, stats, seed=0)  # doctest: +SKIP
    """
    if method not in ("auto", "nuts"):
        raise SamplingError(
            "method 'auto' or 'nuts'", f"{method!r}", "a typing error", "use method='auto'"
        )
    refuse_improper(spec, stats)  # before a minute of compilation
    tree = Sampler(spec, backend).draw(
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


def _refuse_incomplete(tree: Any, draws: int, names: list[str]) -> None:
    """Refuse what an interrupted sampler returns: fewer draws, or draws that are not numbers."""
    posterior = tree["posterior"].dataset
    finite = all(bool(np.isfinite(posterior[name]).all()) for name in names)
    if posterior.sizes[DRAW] != draws or not finite:
        raise SamplingError(
            f"{draws} finite draws in each chain",
            f"{posterior.sizes[DRAW]} draws" + ("" if finite else ", some not finite"),
            "sampling was interrupted",
            "run it again",
        )


def versions() -> dict[str, str]:
    """Versions of the packages a posterior depends on."""
    found = {}
    for name in ("claude-pymc", "pymc", "pytensor", "nutpie", "numpyro", "jax", "numpy", "numba"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _tidy(tree: xr.DataTree, spec: JointGaussian) -> xr.DataTree:
    """Keep posterior and sample_stats, add the computed quantities, make attributes savable."""
    posterior = tree["posterior"].to_dataset()
    stats = tree["sample_stats"].to_dataset()
    stats = stats.drop_vars([n for n, v in stats.data_vars.items() if v.dtype.kind in "OUS"])
    stats = stats[[n for n, v in stats.data_vars.items() if v.dims == (CHAIN, DRAW)]]
    if spec.likelihood == "joint":
        names = spec.columns.variables
        raw = [posterior[n].transpose(CHAIN, DRAW, *d).to_numpy() for n, d in JOINT_COLUMNS.items()]
        found = split_joint(raw[0], raw[1], raw[2], len(spec.design.descriptors))
        posterior = posterior.drop_vars(list(JOINT_COLUMNS))
        posterior = posterior.assign_coords({VARIABLE: list(names), VARIABLE_BIS: list(names)})
        design = {TARGET: spec.design.targets, BASIS: spec.design.terms}
        posterior = posterior.assign_coords({dim: list(v) for dim, v in design.items()})
        dims = PARAMETERS | JOINT_PARAMETERS
        for name, values in found.items():
            posterior[name] = ((CHAIN, DRAW, *dims[name]), values)
    columns = [
        posterior[name].transpose(CHAIN, DRAW, *PARAMETERS[name]).to_numpy()
        for name in ("linkage", "sigma", "corrections")
    ]
    computed = derived(*columns)
    for name in computed:
        posterior[name] = ((CHAIN, DRAW, *PARAMETERS[name]), computed[name])
    posterior.attrs, stats.attrs = {}, {}
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})
