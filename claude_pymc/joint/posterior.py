"""Draws of the joint Gaussian become predictions, in the units of the targets.

Given x and the targets G already known at a candidate, the rest M is, draw by draw,

    y_M | y_G ~ N(mu_M + K (y_G - mu_G), Sigma_MM - K Sigma_GM),
    K = Sigma_MG Sigma_GG^-1,   mu = W phi.

`kind="mean"` draws the mean of that Gaussian, `kind="observation"` adds its noise.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from claude_pymc.errors import CandidateError, Notice, SamplingError
from claude_pymc.joint.asked import column_of, descriptors_of, known_of, noise_of, usable
from claude_pymc.joint.gaussian import covariance_root, derived
from claude_pymc.joint.patternwise import Piece, conditional, noise_variance
from claude_pymc.joint.prediction import Prediction, variance_around
from claude_pymc.joint.settings import refuse_seed
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.joint.stepwise import log_density_draws, predict_draws, refuse_backwards
from claude_pymc.notation import (
    CANDIDATE,
    CHAIN,
    DRAW,
    JOINT_PARAMETERS,
    PARAMETERS,
    ROW_PARAMETERS,
    SAMPLE,
    TARGET,
)
from claude_pymc.protocols import Kind
from claude_pymc.tables.corrections import needed_descriptors
from claude_pymc.tables.scaling import outside

# Predictions of more numbers than this use every k-th draw, to stay below about half a gigabyte.
MOST_NUMBERS = 40_000_000
# Noise draws where the parameters are one point, the maximum of `find_map`.
NOISE_DRAWS = 2000


class JointPosterior:
    """The posterior of a joint Gaussian, ready to predict.

    Parameters
    ----------
    idata : DataTree
        As :func:`claude_pymc.sample` returns it.
    spec : JointGaussian, optional
        Taken from the attributes of ``idata`` if left out.

    Raises
    ------
    SamplingError
        If the draws lack a quantity, or belong to another specification.

    Examples
    --------
    >>> post = cp.fit(cp.simulate("toy_pair", seed=0), seed=0)
    >>> band = post.predict(cp.mesh(x=[0.2, 0.8]), kind="observation").interval(0.9)
    >>> mean = post.predict(cp.mesh(x=[0.2, 0.8]), given={"sim": [2.5, 2.0]}).mean()
    >>> fewer = post.thinned(500)
    """

    def __init__(self, idata: xr.DataTree, spec: JointGaussian | None = None) -> None:
        needed = ("linkage", "sigma", "corrections")
        have = list(idata["posterior"].data_vars) if "posterior" in idata.children else []
        if any(name not in have for name in needed) or (spec is None and "spec" not in idata.attrs):
            raise SamplingError(
                "draws of linkage, sigma and corrections, with their specification",
                f"posterior variables {have}, attributes {list(idata.attrs)}",
                "draws of another model, or a file that lost its attributes",
                "pass the result of cp.sample, and spec= if it has no attributes",
            )
        self.idata = idata
        self.spec = JointGaussian.from_json(idata.attrs["spec"]) if spec is None else spec
        posterior = idata["posterior"].dataset
        design = self.spec.design
        found = [list(map(str, posterior[d].to_numpy())) for d in (TARGET, "basis")]
        if found != [list(design.targets), list(design.terms)]:
            raise SamplingError(
                f"draws over targets {list(design.targets)} and terms {list(design.terms)}",
                f"{found[0]} and {found[1]}",
                "draws and specification come from different fits",
                "pass the specification that was sampled",
            )
        self._linkage, sigma, corrections = (self._stacked(name) for name in needed)
        self._root = covariance_root(self._linkage, sigma)
        others = derived(self._linkage, sigma, corrections)
        self._coefficients, self._covariance = others["coefficients"], others["covariance"]
        if self.spec.likelihood == "joint":
            self._joint_mean = self._stacked("joint_mean")
            self._joint_root = np.linalg.cholesky(self._stacked("joint_covariance"))

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Names of the columns a candidate must have."""
        return self.spec.design.descriptors

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets, cheapest first, the primary one last."""
        return self.spec.design.targets

    @property
    def units(self) -> Mapping[str, str]:
        """Units by column name."""
        return dict(self.spec.design.units)

    @property
    def forwards_only(self) -> bool:
        """Whether no cheaper value can be inferred from one of the primary target."""
        return self.spec.needs == "rows"

    def uses(self, target: str) -> tuple[str, ...]:
        """Descriptors on which a target depends, by its own terms or through a cheaper one."""
        design = self.spec.design
        needed = needed_descriptors(design.basis, design.active, len(design.descriptors))
        row = needed[design.targets.index(target)]
        return tuple(name for name, used in zip(design.descriptors, row, strict=True) if used)

    @property
    def coefficients(self) -> xr.DataArray:
        """W (chain, draw, target, basis) on the modelled scale: y = W phi + noise."""
        return self._named("coefficients")

    @property
    def covariance(self) -> xr.DataArray:
        """Sigma (chain, draw, target, target_bis), the noise covariance on the modelled scale."""
        return self._named("covariance")

    @property
    def linkage(self) -> xr.DataArray:
        """C (chain, draw, target, target_bis): how much of a cheaper target carries over."""
        return self._named("linkage")

    @property
    def ranking(self) -> pd.DataFrame:
        """Sets of terms that were chosen among, by target, the most probable first.

        Columns target, set, log_evidence (with its Monte Carlo error se), log_prior, probability.
        The evidence is that of all targets, averaged over the sets of the others. Sets that are
        far behind the best ones (e^5) are left out.
        """
        if "ranking" not in self.idata.attrs:
            raise SamplingError(
                "draws of a specification whose terms are chosen by evidence",
                "draws of one with the terms that it names",
                "a design without corrections='auto'",
                "use Design.from_table(..., corrections='auto')",
            )
        names = ("target", "set", "log_evidence", "se", "log_prior", "probability")
        rows = json.loads(self.idata.attrs["ranking"])
        return pd.DataFrame([{name: row[name] for name in names} for row in rows])

    def draws_of(self, name: str) -> np.ndarray:
        """Draws (sample, ...) of a quantity, or of "root" with covariance = root root'."""
        known = {"root": self._root, "coefficients": self._coefficients, "linkage": self._linkage}
        return known[name] if name in known else self._stacked(name)

    def _stacked(self, name: str) -> np.ndarray:
        dims = {**PARAMETERS, **JOINT_PARAMETERS, **ROW_PARAMETERS}[name]
        array = self.idata["posterior"].dataset[name].transpose(CHAIN, DRAW, *dims).to_numpy()
        return array.reshape(-1, *array.shape[2:])

    def _named(self, name: str) -> xr.DataArray:
        shape = [self.idata["posterior"].sizes[dim] for dim in (CHAIN, DRAW)]
        values = getattr(self, f"_{name}")
        posterior = self.idata["posterior"].dataset
        coords = {dim: posterior.coords[dim] for dim in (CHAIN, DRAW, TARGET)}
        coords[PARAMETERS[name][1]] = posterior.coords[PARAMETERS[name][1]].to_numpy()
        return xr.DataArray(
            values.reshape(*shape, *values.shape[1:]),
            dims=(CHAIN, DRAW, *PARAMETERS[name]),
            coords=coords,
            name=name,
        )

    def predict(
        self, frame: Any, kind: Kind = "mean", given: Any = None, seed: int | None = None
    ) -> Prediction:
        """Predict the targets at candidates.

        Parameters
        ----------
        frame : DataFrame, Table or array (candidate, descriptor)
            A descriptor may be missing (NaN): under likelihood "joint" it is integrated out, else
            the targets that use it are NaN.
        kind : "mean" or "observation"
            The mean of the targets given x (for a target modelled by its logarithm: the median), or
            a value that a measurement would give, noise included: where the specification has them,
            that of the source of the row, and its known error, as a Table says (else the first
            source, and no error).
        given : mapping of target to values (candidate), optional
            Targets already known at the candidates, NaN where not. If such a value was not among
            the rows of the fit, the parameters do not learn from it.
        seed : int, optional
            For the noise of ``kind="observation"``.

        Returns
        -------
        Prediction
            Draws (sample, candidate, target) with mean, std and intervals, in the units of the
            targets. Beyond 40 million numbers only every k-th draw is used. A posterior of a single
            draw gives one draw of the mean, and 2000 of an observation.

        Raises
        ------
        CandidateError
            If no target of a candidate can be predicted, ``given`` does not fit, or a Table names a
            source that the specification does not know.

        Warns
        -----
        Notice
            Where candidates lie outside the bounds of the design, and where draws are left out.
        """
        if kind not in ("mean", "observation"):
            raise CandidateError(
                "kind 'mean' or 'observation'", f"{kind!r}", "a typing error", "choose one"
            )
        refuse_seed(seed)
        x, labels = descriptors_of(frame, self.descriptors)
        known = known_of(given, len(x), self.spec.design)
        able = usable(self.spec, x, known)
        d = len(self.targets)
        beyond = outside(x, self.descriptors, self.spec.design.bounds)
        if beyond is not None:
            warnings.warn(f"{beyond}: the model extrapolates there", Notice, stacklevel=2)
        rng = np.random.default_rng(seed)
        used = self._draws_used(kind, len(x))
        if self.spec.needs == "rows":
            observed = (rng, noise_of(frame, self.spec, len(x))) if kind == "observation" else None
            draws = predict_draws(self, x, known, used, observed)
            return self._named_draws(draws, able, labels, kind)
        draws = np.empty((len(used), len(x), d))
        for rows, have, mean, root in self.conditional(x, known, used):
            if kind == "observation":
                mean = mean + rng.standard_normal(mean.shape) @ np.swapaxes(root, -1, -2)
            lack = ~have[-d:]
            values = mean[:, :, mean.shape[-1] - lack.sum() :]
            if not lack.all():
                whole = np.broadcast_to(known[rows], (len(draws), len(rows), d)).copy()
                whole[:, :, lack] = values
                values = whole
            draws[:, rows] = values
        return self._named_draws(draws, able, labels, kind)

    def mean_and_noise(
        self, frame: Any, given: Any = None, seed: int | None = None
    ) -> tuple[Prediction, np.ndarray]:
        """Predict the mean of the targets, and the variance of observations around it.

        As :meth:`predict` of both kinds, in one pass where the noise is the same everywhere; else
        it is drawn, with ``seed``. The variance (candidate, target) is an average over draws, in
        squared units of the targets; zero for targets that are known.
        """
        found = self.predict(frame, "mean", given)
        plain = all(transform == "identity" for transform in self.spec.design.transforms)
        if self.spec.needs == "rows" or not plain or self.spec.likelihood == "joint":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Notice)
                noisy = self.predict(frame, "observation", given, seed)
            return found, variance_around(noisy, found.draws.to_numpy())
        x, _ = descriptors_of(frame, self.descriptors)
        known = known_of(given, len(x), self.spec.design)
        variance = noise_variance(self._root, np.isfinite(known))
        return found, variance * np.square(np.array(self.spec.design.scale))

    def _named_draws(
        self, draws: np.ndarray, able: np.ndarray, labels: list[Any], kind: Kind
    ) -> Prediction:
        """Draws (sample, candidate, target) in the units of the targets."""
        draws[:, ~able] = np.nan
        array = xr.DataArray(
            self.spec.design.from_model(draws),
            dims=(SAMPLE, CANDIDATE, TARGET),
            coords={CANDIDATE: labels, TARGET: list(self.targets)},
        )
        student = kind == "observation" and self.spec.noise == "student"
        return Prediction(array, kind, self.units, self.targets[-1:] if student else ())

    def log_predictive_density(self, frame: Any, target: str, given: Any = None) -> np.ndarray:
        """Log density of the measured values of one target, averaged over the posterior.

        Parameters
        ----------
        frame : DataFrame or Table
            With the descriptors and the measured target; sources and known errors as in
            :meth:`predict`.
        target : str
        given : mapping of target to values, optional
            As in :meth:`predict`; must not hold ``target``.

        Returns
        -------
        array (candidate)
            log p(g(y) | x, given, data), with g the transform of the design (a density of log y
            for a target modelled by its logarithm); NaN where ``frame`` has no value.
        """
        design = self.spec.design
        x, _ = descriptors_of(frame, self.descriptors)
        known = known_of(given, len(x), self.spec.design)
        able = usable(self.spec, x, known)
        measured = known_of({target: column_of(frame, target)}, len(x), design)
        j = self.targets.index(target)
        density = np.full(len(x), np.nan)
        if np.isfinite(known[:, j]).any():
            raise CandidateError(
                f"values of {target!r} only in the frame",
                "the same target among the given ones",
                "a value cannot be both predicted and known",
                f"leave {target!r} out of given",
            )
        if self.spec.needs == "rows" and j == len(self.targets) - 1:
            noise = noise_of(frame, self.spec, len(x))
            density = _averaged(log_density_draws(self, x, known, measured[:, j], noise))
            return np.where(able[:, j], density, np.nan) - np.log(design.scale[j])
        if self.spec.needs == "rows":
            refuse_backwards(self, known)
            known = known[:, :-1]
        n_known = known.shape[1]
        for rows, have, mean, root in self.conditional(x, known, np.arange(len(self._root))):
            i = int((~have)[: len(have) - n_known + j].sum())
            sd = np.sqrt(np.square(root[:, i]).sum(axis=-1))[:, None]
            z = (measured[rows, j] - mean[:, :, i]) / sd
            log_p = -0.5 * z**2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
            density[rows] = _averaged(log_p)
        return np.where(able[:, j], density, np.nan) - np.log(design.scale[j])

    def thinned(self, number: int) -> JointPosterior:
        """Return every k-th draw of each chain, of at least ``number`` draws in all."""
        step = max(1, len(self._root) // max(number, 1))
        if step == 1:
            return self
        tree = xr.DataTree.from_dict(
            {
                name: node.isel({DRAW: slice(None, None, step)})
                for name in ("posterior", "sample_stats")
                if name in self.idata and DRAW in (node := self.idata[name].dataset).dims
            }
        )
        tree.attrs = dict(self.idata.attrs)
        return type(self)(tree, self.spec)

    def save(self, path: str | Path) -> None:
        """Write draws and specification to one netCDF file."""
        self.idata.to_netcdf(path, engine="h5netcdf")

    @classmethod
    def load(cls, path: str | Path) -> JointPosterior:
        """Read what :meth:`save` wrote."""
        try:
            return cls(xr.load_datatree(path, engine="h5netcdf"))
        except (OSError, KeyError) as error:
            raise SamplingError(
                "a netCDF file written by JointPosterior.save or `claude-pymc fit`",
                f"{Path(path).name!r}: {error}",
                "another kind of file, or a truncated copy",
                "fit again",
            ) from error

    def _draws_used(self, kind: Kind, n: int) -> np.ndarray:
        """Index of the draws behind a prediction at n candidates; the only one many times."""
        size, width = len(self._root), n * len(self.targets)
        if size == 1:
            most = min(NOISE_DRAWS, MOST_NUMBERS // max(width, 1)) if kind == "observation" else 1
            return np.zeros(max(most, 1), dtype=int)
        step = 1 + width * size // MOST_NUMBERS
        if step > 1:
            text = f"{n} candidates: every {step}th of {size} draws is used"
            warnings.warn(text, Notice, stacklevel=3)
        return np.arange(0, size, step)

    def conditional(self, x: np.ndarray, known: np.ndarray, used: np.ndarray) -> Iterator[Piece]:
        """Yield the rest of the variables given those that are known (`joint.patternwise`)."""
        phi, w, root = self.spec.design.phi(x), self._coefficients[used], self._root[used]
        if self.spec.likelihood == "joint":
            known = np.hstack([np.where(np.isnan(x), np.nan, phi[:, 1:]), known])
            phi, root = np.ones((len(x), 1)), self._joint_root[used]
            w = self._joint_mean[used][:, :, None]
        return conditional(phi, w, root, known)


def _averaged(log_p: np.ndarray) -> np.ndarray:
    """Logarithm of densities averaged over draws (sample, row)."""
    peak = log_p.max(axis=0)
    found: np.ndarray = peak + np.log(np.exp(log_p - peak).mean(axis=0))
    return found
