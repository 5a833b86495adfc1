"""A point with names: the columns, and what is computed from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from claude_pymc.joint.gaussian import derived, precision_from_columns, split_joint
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import BASIS, CHAIN, DRAW, JOINT_PARAMETERS, PARAMETERS


@dataclass(frozen=True, eq=False)
class PointEstimate:
    """The highest maximum that was found.

    Parameters
    ----------
    spec : JointGaussian
    precision : DataArray (z, z_bis), z = (basis..., targets...)
        Lambda; its basis-basis block is zero.
    coefficients, corrections : DataArray (target, basis)
    linkage, covariance : DataArray (target, target_bis)
    sigma : DataArray (target)
    scale : DataArray (group)
        Learned scales of `ShrinkagePrior`, then lengths of kernels; none under others.
    joint_mean, joint_covariance : DataArray (variable), (variable, variable_bis), or None
        Of (x, y) under likelihood "joint".
    log_likelihood : float
        Of the standardised targets (and descriptors, if "joint").
    log_posterior : float
        Log likelihood plus log prior density in ``coordinates``.
    coordinates : str
        A maximum moves with the coordinates its density refers to: these.
    converged : bool
        The gradient vanishes; a noise that goes to zero may do so only on a plateau.
    optima : tuple of float
        Log posterior of the different maxima (points of no slope) that the starts led to, highest
        first. One where a noise vanishes says little of a new measurement; the regular maximum may
        be a lower one.
    """

    spec: JointGaussian
    precision: xr.DataArray
    coefficients: xr.DataArray
    corrections: xr.DataArray
    linkage: xr.DataArray
    covariance: xr.DataArray
    sigma: xr.DataArray
    scale: xr.DataArray
    joint_mean: xr.DataArray | None
    joint_covariance: xr.DataArray | None
    log_likelihood: float
    log_posterior: float
    coordinates: str
    converged: bool
    optima: tuple[float, ...] = field(default=())

    def __repr__(self) -> str:
        """Return two lines: the height and whether it is a summit, and the noises."""
        noise = zip(self.spec.design.targets, self.sigma.to_numpy(), strict=True)
        return (
            f"PointEstimate: log posterior {self.log_posterior:.6g}, "
            f"{'converged' if self.converged else 'NOT converged'}, "
            f"{len(self.optima)} different maxima found\n"
            f"  sigma (scaled units): {', '.join(f'{name} {value:.3g}' for name, value in noise)}"
        )

    @property
    def posterior(self) -> JointPosterior:
        """A posterior of this one draw, which predicts with no uncertainty of the parameters.

        ``kind="mean"`` is a point, and ``kind="observation"`` has the noise about it alone.
        """
        names = ("linkage", "sigma", "corrections", *JOINT_PARAMETERS)
        arrays = {name: getattr(self, name) for name in names}
        found = {
            name: array.expand_dims({CHAIN: [0], DRAW: [0]})
            for name, array in arrays.items()
            if array is not None
        }
        tree = xr.DataTree.from_dict({"posterior": xr.Dataset(found)})
        tree.attrs["spec"] = self.spec.to_json()
        return JointPosterior(tree, self.spec)


def labelled(
    spec: JointGaussian, linkage: np.ndarray, sigma: np.ndarray, corrections: np.ndarray
) -> dict[str, Any]:
    """Arrays of a `PointEstimate` from the columns of all variables; None for those it lacks."""
    design = spec.design
    found: dict[str, Any] = dict.fromkeys(JOINT_PARAMETERS)
    if spec.likelihood == "joint":
        names = list(spec.columns.variables)
        parts = split_joint(linkage, sigma, corrections[:, 0], len(design.descriptors))
        for name, dims in JOINT_PARAMETERS.items():
            found[name] = xr.DataArray(parts[name], dict.fromkeys(dims, names), dims)
        linkage, sigma, corrections = (parts[n] for n in ("linkage", "sigma", "corrections"))
    others = derived(linkage, sigma, corrections)
    arrays = {"linkage": linkage, "sigma": sigma, "corrections": corrections}
    arrays |= {name: others[name] for name in ("coefficients", "covariance")}
    for name, array in arrays.items():
        dims = PARAMETERS[name]
        coords = {k: list(design.terms if k == BASIS else design.targets) for k in dims}
        found[name] = xr.DataArray(array, coords, dims)
    z = [*design.terms, *design.targets]
    precision = precision_from_columns(linkage, sigma, corrections)
    found["precision"] = xr.DataArray(precision, {"z": z, "z_bis": z}, ("z", "z_bis"))
    return found
