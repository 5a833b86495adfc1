"""No-U-turn sampling: a model compiled once, fed with any statistics of the same design."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from claude_pymc.errors import SamplingError
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.draws import posterior_dataset, tree_of
from claude_pymc.joint.inputs import DATA, arrays_of
from claude_pymc.joint.model import build_model
from claude_pymc.joint.settings import Settings
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import CHAIN, DRAW, JOINT_COLUMNS
from claude_pymc.tables.statistics import PatternStats

Backend = Literal["auto", "nutpie", "pymc", "numpyro"]

# Tried in this order until no draw diverges; the last result is kept whatever it is.
TARGET_ACCEPT = (0.95, 0.99, 0.998)


class NutsSampler:
    """A compiled model that draws for any statistics of its design.

    Parameters
    ----------
    spec : JointGaussian
    backend : "auto", "nutpie", "pymc" or "numpyro"
        "auto" takes nutpie where it is installed; "numpyro" needs the extra ``jax``.
    collapse : bool
        Sample linkage, noise and scales only; the corrections are drawn exactly given them.
    stats : PatternStats, optional
        Of a specification that needs rows: they are part of the model, and the only ones it draws
        for.
    """

    def __init__(
        self,
        spec: JointGaussian,
        backend: Backend = "auto",
        *,
        collapse: bool = False,
        stats: PatternStats | None = None,
    ) -> None:
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
                "pip install jax numpyro" if backend == "numpyro" else "use backend='auto'",
            )
        self.spec = spec
        self.backend = backend
        if backend == "auto":
            self.backend = "nutpie" if find_spec("nutpie") else "pymc"
        self.collapse, self.fed = collapse, spec.needs == "statistics"
        self.model = build_model(spec, stats, collapse=collapse)
        joint = spec.likelihood == "joint"
        columns = list(JOINT_COLUMNS) if joint else ["linkage", "sigma", "corrections"]
        self._columns = columns[:2] if collapse else columns
        # A length is kept as it is, not as the logarithm that is drawn.
        free = [v.name for v in self.model.free_RVs]
        self._free = ["length" if name == "log_length" else name for name in free]
        self._free += [name for name in ("varying", "source_sigma") if name in self.model]
        self._names = self._free + self._columns
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
        draws: int,
        tune: int,
        chains: int,
        seed: int,
        target_accept: float | None = None,
        progress: bool = False,
    ) -> xr.DataTree:
        """Draw from the posterior given ``stats``; parameters as in :meth:`Sampler.draw`."""
        data = arrays_of(self.spec, stats)
        tries = TARGET_ACCEPT if target_accept is None else (target_accept,)
        run = {"nutpie": self._nutpie, "pymc": self._pymc}.get(self.backend, self._numpyro)
        for accept in tries:
            raw = run(data, Settings(draws, tune, chains, seed, accept, progress))
            _refuse_incomplete(raw, draws, self._names)
            if not bool(raw["sample_stats"]["diverging"].any()):
                break
        posterior = self._complete(raw["posterior"].dataset, data, seed)
        attrs = {
            "seed": int(seed),
            "method": "nuts",
            "collapsed": int(self.collapse),
            "backend": self.backend,
            "tune": tune,
            "target_accept": accept,
        }
        return tree_of(self.spec, stats, posterior, _plain(raw["sample_stats"]), attrs)

    def _complete(self, raw: xr.Dataset, data: dict[str, np.ndarray], seed: int) -> xr.Dataset:
        """Free variables of the model, columns, and what is computed from the columns."""
        arrays = {}
        for name in self._names:
            values = raw[name]
            dims = tuple(str(dim) for dim in values.dims if dim not in (CHAIN, DRAW))
            arrays[name] = dims, values.transpose(CHAIN, DRAW, *dims).to_numpy()
        columns = [arrays[name][1] for name in self._columns]
        others = {name: arrays[name] for name in self._free}
        if self.collapse:
            exact = CollapsedPosterior(self.spec, data["rows"], data["gram"])
            linkage, sigma = columns
            nothing = np.zeros((*sigma.shape[:2], 0))
            learned = [arrays[n][1] if n in arrays else nothing for n in ("scale", "length")]
            hyper = nothing if exact.scales is None else exact.scales.joined(*learned)
            theta = exact.theta(linkage, sigma, hyper)
            drawn = exact.draw(theta.reshape(-1, exact.dims), np.random.default_rng(seed))
            columns.append(drawn.corrections.reshape(*sigma.shape, -1))
        elif self.spec.likelihood == "joint":
            columns[2] = columns[2][..., None]
        return posterior_dataset(self.spec, columns[0], columns[1], columns[2], others)

    def _nutpie(self, data: dict[str, np.ndarray], settings: Settings) -> xr.DataTree:
        import nutpie

        with threadpool_limits(1, user_api="blas"):
            running = nutpie.sample(
                self._compiled.with_data(**data) if self.fed else self._compiled,
                draws=settings.draws,
                tune=settings.tune,
                chains=settings.chains,
                seed=settings.seed,
                target_accept=settings.accept,
                adaptation="low_rank",
                save_warmup=False,
                progress_bar=settings.progress,
                blocking=False,
            )
            try:
                return running.wait()
            except BaseException:
                running.cancel()
                raise

    def _numpyro(self, data: dict[str, np.ndarray], settings: Settings) -> xr.DataTree:
        return self._compiled.draw(data, settings)

    def _pymc(self, data: dict[str, np.ndarray], settings: Settings) -> xr.DataTree:
        import pymc as pm

        with self.model, threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # convergence is judged by its own checks
            if self.fed:
                pm.set_data({name: data[name] for name in DATA})
            try:
                return pm.sample(
                    draws=settings.draws,
                    tune=settings.tune,
                    chains=settings.chains,
                    cores=1,
                    random_seed=settings.seed,
                    nuts_sampler="pymc",
                    target_accept=settings.accept,
                    progressbar=settings.progress,
                    compute_convergence_checks=False,
                    var_names=self._names,
                )
            finally:
                if self.fed:
                    pm.set_data(arrays_of(self.spec, PatternStats.empty(self.spec.design)))


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


def _plain(stats: Any) -> xr.Dataset:
    """Keep the statistics of the sampler that can be saved: one number per draw."""
    found = stats.to_dataset() if isinstance(stats, xr.DataTree) else stats
    found = found[
        [n for n, v in found.data_vars.items() if v.dims == (CHAIN, DRAW) and v.dtype.kind != "O"]
    ]
    found = found.drop_vars([n for n, v in found.data_vars.items() if v.dtype.kind in "US"])
    found.attrs = {}
    return found
