r"""Before any data: draws from the prior that predict as a posterior does, and a prior from ranges.

A prior is elicited from what a person can say: the property lies between a and b, the simulation is
within c of the experiment, each with probability ``prob``. With the targets scaled so that a and b
are -z and z, z = Phi^-1((1 + prob) / 2), two factors are found by bisection on common draws, over
points spread in the bounds of the design,

    P(a <= y_exp <= b) = prob     by g:  scale, constant_sd of the first target proportional to g,
    P(|y_exp - y_sim| <= c) = prob     by h:  noise, linkage_sd, corrections proportional to h;

without c both factors are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import ndtri

from claude_pymc.errors import DesignError, SpecError
from claude_pymc.joint.draws import posterior_dataset
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.priors import ShrinkagePrior
from claude_pymc.joint.simulate import draw_prior
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.notation import ROW_PARAMETERS
from claude_pymc.tables.design import Design

CHAINS = 4
POINTS, DRAWS = 48, 800  # behind an elicitation
LEAST, MOST, STEPS = 1e-4, 1e3, 60  # of a factor, and halvings of its logarithm
# At g = h = 1, where targets have an sd of about one.
BASE = ShrinkagePrior(
    noise=0.2,
    noise_log_sd=1.0,
    linkage_sd=0.5,
    constant_sd=1.0,
    scale=0.5,
    scale_log_sd=0.5,
    correction=0.3,
    correction_log_sd=0.5,
    correction_constant_sd=0.7,
)


def sample_prior(
    spec: JointGaussian, *, draws: int = 1000, seed: int | None = None
) -> JointPosterior:
    """Draw from the prior: a posterior without rows, which predicts, and is drawn, like any other.

    Parameters
    ----------
    spec : JointGaussian
        With a proper prior; its design may be that of :meth:`Design.from_bounds`.
    draws : int
        Rounded up to a multiple of four.
    seed : int, optional

    Returns
    -------
    JointPosterior

    Raises
    ------
    SpecError
        If the prior is improper.

    Examples
    --------
    >>> design = Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"])
    >>> prior = sample_prior(JointGaussian(design), draws=40, seed=0)
    >>> prior.predict([[0.5]], "observation", seed=0).draws.shape
    (40, 1, 2)
    """
    if draws < 1:
        raise SpecError("at least one draw", f"draws={draws}", "a zero", "leave draws out")
    rng = np.random.default_rng(seed)
    found = [draw_prior(spec, rng) for _ in range(CHAINS * -(-draws // CHAINS))]

    def dealt(name: str) -> np.ndarray:
        values = np.array([one[name] for one in found])
        return values.reshape(CHAINS, -1, *values.shape[1:])

    present = {name: dims for name, dims in ROW_PARAMETERS.items() if name in found[0]}
    others = {name: (dims, dealt(name)) for name, dims in present.items()}
    linkage, sigma, corrections = (dealt(name) for name in ("linkage", "sigma", "corrections"))
    posterior = posterior_dataset(spec, linkage, sigma, corrections, others)
    tree = xr.DataTree.from_dict({"posterior": posterior})
    tree.attrs = {"spec": spec.to_json(), "method": "prior", "n_rows": 0, "shared_rows": 0}
    return JointPosterior(tree, spec)


def elicit(
    design: Design,
    between: Mapping[str, tuple[float, float]],
    within: float | None = None,
    *,
    prob: float = 0.95,
    seed: int = 0,
) -> JointGaussian:
    """Make a specification from ranges that a person can say before any data.

    Parameters
    ----------
    design : Design
        Its scaling is replaced by that of the ranges. Every target needs bounds by itself, or by
        another target of its quantity.
    between : mapping of target to (low, high)
        In the unit of the target: a value measured anywhere within the bounds of the design lies
        there with probability ``prob``.
    within : float, optional
        How near the nearest cheaper target of the same quantity is to the primary one, with
        probability ``prob``: in the unit of the target; for a target modelled by its logarithm, a
        fraction (0.05 for 5 %). Default: corrections vary about as much as the first target.
    prob : float
    seed : int
        Of the draws behind it.

    Returns
    -------
    JointGaussian
        With a `ShrinkagePrior`. Look at it: ``plot_slices(sample_prior(spec))``.

    Raises
    ------
    DesignError
        If a range is missing, reversed or not positive where a logarithm is modelled.
    SpecError
        If ``within`` is not positive, wider than the range, or no cheaper target has the quantity
        of the primary one.

    Examples
    --------
    >>> design = Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"])
    >>> spec = elicit(design, {"exp": (1.0, 5.0)}, within=0.5)
    >>> [round(end, 6) for end in spec.design.from_model(np.array([[-1.96, 1.96]]))[0].tolist()]
    [0.99..., 5.00...]
    """
    if not 0.5 <= prob <= 0.99:
        raise SpecError(
            "a probability from 0.5 to 0.99", f"{prob!r}", "a percentage", "write 0.95, not 95"
        )
    scaled = _scaled(design, between, float(ndtri(0.5 * (1.0 + prob))))
    spec = JointGaussian(scaled, BASE)
    near = _near(spec, within)
    phi = scaled.phi(_points(scaled, seed))
    rng = np.random.default_rng(seed)
    drawn = _Drawn(spec, phi, [draw_prior(spec, rng) for _ in range(DRAWS)], rng)
    top = float(ndtri(0.5 * (1.0 + prob)))
    if within is None:
        g = _solve(lambda factor: _share(drawn.values(factor, factor)[-1], top), prob)
        return replace(spec, prior=_scaled_prior(g, g))
    limit = _in_model(scaled, within)
    g, h = 1.0, limit / top
    for _ in range(3):
        g = _solve(lambda factor, h=h: _share(drawn.values(factor, h)[-1], top), prob)
        if g < 2.0 * LEAST:
            raise SpecError(
                "a distance within the range of the property",
                f"{within!r}, beside a range of {between}",
                "another unit, or a simulation that says nothing",
                "give a smaller distance, or leave within out",
            )

        def apart(factor: float, g: float = g) -> np.ndarray:
            y = drawn.values(g, factor)
            return y[-1] - y[near]

        h = _solve(lambda factor, apart=apart: _share(apart(factor), limit), prob)
        if h < 2.0 * LEAST:
            raise SpecError(
                "a distance that is not tiny beside the range of the property",
                f"{within!r}, beside {between}",
                "another unit, or a simulation that is the experiment",
                "give a larger distance",
            )
    return replace(spec, prior=_scaled_prior(g, h))


def _scaled_prior(g: float, h: float) -> ShrinkagePrior:
    """Return the prior of the two factors, to three digits."""
    by_h = ("noise", "linkage_sd", "correction", "correction_constant_sd")
    values = {name: getattr(BASE, name) * h for name in by_h}
    values |= {name: getattr(BASE, name) * g for name in ("constant_sd", "scale")}
    rounded: dict[str, Any] = {name: float(f"{value:.3g}") for name, value in values.items()}
    return replace(BASE, **rounded)


def _share(values: np.ndarray, limit: float) -> float:
    """Share of values whose size is at most a limit."""
    return float((np.abs(values) <= limit).mean())


def _solve(share: Any, prob: float) -> float:
    """Return the factor at which a falling share is ``prob``."""
    low, high = np.log(LEAST), np.log(MOST)
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(float(np.exp(middle))) > prob else (low, middle)
    return float(np.exp(0.5 * (low + high)))


class _Drawn:
    """Values of all targets at some points, as functions of the two factors."""

    def __init__(
        self, spec: JointGaussian, phi: np.ndarray, found: list[Any], rng: np.random.Generator
    ) -> None:
        self.mean = np.zeros_like(found[0]["linkage"])
        for j, k, mean in spec.links:
            self.mean[j, k] = mean
        self.off = np.array([one["linkage"] for one in found]) - self.mean
        sigma = np.array([one["sigma"] for one in found])
        self.noise = rng.standard_normal((len(found), len(phi), sigma.shape[1])) * sigma[:, None]
        self.surface = np.array([one["corrections"] for one in found]) @ phi.T

    def values(self, g: float, h: float) -> list[np.ndarray]:
        """Values (draw, point) of each target."""
        y: list[np.ndarray] = []
        for j in range(self.noise.shape[2]):
            value = self.surface[:, j] * (h if j else g) + h * self.noise[:, :, j]
            for k in range(j):
                value = value + (self.mean[j, k] + h * self.off[:, j, k, None]) * y[k]
            y.append(value)
        return y


def _scaled(design: Design, between: Mapping[str, tuple[float, float]], z: float) -> Design:
    """Scale the targets so that the ranges end at -z and z, one scaling for each quantity."""
    unknown = [name for name in between if name not in design.targets]
    if unknown:
        raise DesignError(
            f"ranges of the targets {list(design.targets)}",
            f"one of {unknown[0]!r}",
            "a typing error",
            "use the names of the targets",
        )
    of_quantity = dict(zip(design.targets, design.quantities, strict=True))
    twice = [t for t in between if sum(of_quantity[u] == of_quantity[t] for u in between) > 1]
    if twice:
        raise DesignError(
            "one range for each quantity",
            f"ranges of {twice}, of one quantity",
            "targets of one quantity share their scaling",
            f"give that of {twice[-1]!r}, and how near the others are by within",
        )
    said = {of_quantity[name]: name for name in design.targets if name in between}
    location, scale = [], []
    for target, rule in zip(design.targets, design.transforms, strict=True):
        name = said.get(of_quantity[target])
        if name is None:
            raise DesignError(
                f"a range of {target!r} or of another target of its quantity",
                f"ranges of {list(between)}",
                "the property was said for another quantity alone",
                f"add {target!r}: (low, high)",
            )
        low, high = map(float, between[name])
        if not (np.isfinite([low, high]).all() and low < high and (low > 0 or rule != "log")):
            raise DesignError(
                f"a range (low, high) of {name!r}, low < high"
                + (", positive" if rule == "log" else ""),
                f"({low:g}, {high:g})",
                "the two were swapped, or a logarithm is modelled",
                "give the smaller value first",
            )
        low, high = (float(np.log(v)) if rule == "log" else v for v in (low, high))
        location.append(0.5 * (low + high))
        scale.append((high - low) / (2.0 * z))
    return replace(design, location=tuple(location), scale=tuple(scale))


def _near(spec: JointGaussian, within: float | None) -> int:
    """Position of the cheaper target that ``within`` speaks of."""
    if within is None:
        return 0
    last = len(spec.design.targets) - 1
    same = [k for j, k, mean in spec.links if j == last and mean]
    if not same:
        raise SpecError(
            f"a cheaper target of the quantity of {spec.design.targets[-1]!r}",
            f"quantities {list(spec.design.quantities)}",
            "a difference needs two targets of one quantity",
            "leave within out",
        )
    quantities = spec.design.quantities
    if quantities[0] != quantities[-1]:
        raise SpecError(
            f"a first target of the quantity of {spec.design.targets[-1]!r}, where within is given",
            f"{spec.design.targets[0]!r}, of the quantity {quantities[0]!r}",
            "what the first target varies by does not set what the others vary by",
            "leave within out, or leave targets of other quantities out",
        )
    if not (isinstance(within, int | float) and 0 < within < np.inf):
        raise SpecError(
            "a positive distance within", f"{within!r}", "a zero or a sign", "give a positive one"
        )
    return same[0]


def _in_model(design: Design, within: float) -> float:
    """Distance of two values of the primary target on the modelled scale."""
    distance = np.log1p(within) if design.transforms[-1] == "log" else within
    return float(distance / design.scale[-1])


def _points(design: Design, seed: int) -> np.ndarray:
    """Points spread over the bounds (point, descriptor); categories by turns."""
    from scipy.stats import qmc

    bounds = np.array(design.bounds or (design.basis.domain,) * _numbers(design)).reshape(-1, 2)
    unit = qmc.Sobol(max(len(bounds), 1), seed=seed).random_base2(6)[:POINTS, : len(bounds)]
    x = bounds[:, 0] + unit * (bounds[:, 1] - bounds[:, 0])
    texts = [np.arange(POINTS) % len(names) for names in design.categories.values()]
    return np.column_stack([x, *texts])


def _numbers(design: Design) -> int:
    """Count the descriptors that are numbers."""
    return len(design.descriptors) - len(design.categories)
