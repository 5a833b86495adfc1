"""Draws with NumPyro: the data of a model are arguments, so that new rows need no new compilation.

PyMC's own way through JAX makes them constants and compiles anew for every call. Importing this
module needs the optional packages jax and numpyro.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from arviz_base import from_dict
from numpyro.infer import NUTS
from pymc.backends.arviz import coords_and_dims_for_inferencedata
from pytensor.graph.replace import clone_replace
from tqdm.auto import tqdm

import claude_pymc.joint.jax_op  # noqa: F401  (registers the likelihood)
from claude_pymc.errors import SamplingError
from claude_pymc.joint.inputs import DATA
from claude_pymc.joint.settings import Settings

STRIDE = 50  # steps between two looks at the keyboard and the progress bar
HALVINGS = 10  # of the jitter around the initial point, until the density there is finite
DENSE = 200  # parameters, up to which correlations are adapted; their factor costs every step


class NumpyroModel:
    """A PyMC model whose density is a JAX function of its parameters and of its data.

    Parameters
    ----------
    model : pymc.Model
    var_names : list of str
        Free variables and deterministics to keep.
    """

    def __init__(self, model: Any, var_names: list[str]) -> None:
        self.var_names = list(var_names)
        self._coords, dims = coords_and_dims_for_inferencedata(model)
        self._dims = {name: dims[name] for name in self.var_names if name in dims}
        self._defaults = {v.name: v.get_value() for v in model.data_vars}
        point = model.initial_point()
        self._point = [np.asarray(point[v.name], dtype=np.float64) for v in model.value_vars]
        kept = model.replace_rvs_by_values([model[name] for name in self.var_names])
        self._logp = _jaxified(model, [model.logp()])
        each = jax.vmap(jax.vmap(_jaxified(model, kept), (0, None)), (0, None))
        self._quantities = jax.jit(each)
        self._begin = jax.jit(self._begin_chains, static_argnames="tune")
        self._advance = jax.jit(self._advance_chains, static_argnames="tune")

    def draw(self, data: dict[str, np.ndarray], settings: Settings) -> xr.DataTree:
        """Draw all chains together, on one processor.

        A second call compiles anew only for another number of chains or warm-up draws, or for
        data of another shape; patterns are filled up to 3, 7, 15, ... of them.

        Parameters
        ----------
        data : dict of arrays
            ``rows`` and ``gram``; other data of the model keep their values unless given by name.
        settings : Settings

        Raises
        ------
        SamplingError
            If the density is not finite where chains may start.
        """
        known = self._defaults | _filled_up(data)
        values = [jnp.asarray(known[name]) for name in self._defaults]
        state = self._start(values, settings)
        tune, steps = settings.tune, settings.tune + settings.draws
        parts = []
        for _ in tqdm(range(0, steps, STRIDE), disable=not settings.progress, unit_scale=STRIDE):
            state, part = self._advance(state, settings.accept, values, tune=tune)
            parts.append(jax.device_get(part))  # waits, so that an interrupt is noticed
        z, stats = jax.tree.map(lambda *v: np.concatenate(v)[tune:steps].swapaxes(0, 1), *parts)
        posterior = jax.device_get(self._quantities(z, values))
        return from_dict(
            {
                "posterior": dict(zip(self.var_names, posterior, strict=True)),
                "sample_stats": stats,
            },
            coords=self._coords,
            dims=self._dims,
        )

    def _start(self, values: list[Any], settings: Settings) -> Any:
        """Chains at jittered initial points of finite density."""
        rng = np.random.default_rng(settings.seed)
        jitter = [rng.uniform(-1.0, 1.0, (settings.chains, *x.shape)) for x in self._point]
        keys = jax.random.split(jax.random.key(settings.seed), settings.chains)
        for halving in range(HALVINGS):
            z = [x + 0.5**halving * j for x, j in zip(self._point, jitter, strict=True)]
            state = self._begin(keys, z, settings.accept, values, tune=settings.tune)
            if np.isfinite(state.potential_energy).all():
                return state
        raise SamplingError(
            "a finite density where chains start",
            "none around the initial point of the model",
            "a likelihood or prior added to the model is zero there",
            "give its variables initial values of positive density",
        )

    def _kernel(self, keys: Any, z: Any, accept: Any, values: Any, tune: int) -> tuple[NUTS, Any]:
        kernel = NUTS(
            potential_fn=lambda z: -self._logp(z, values)[0],
            dense_mass=sum(x.size for x in self._point) <= DENSE,
            target_accept_prob=accept,
        )
        return kernel, kernel.init(keys, tune, z)

    def _begin_chains(self, keys: Any, z: Any, accept: Any, values: Any, tune: int) -> Any:
        return self._kernel(keys, z, accept, values, tune)[1]

    def _advance_chains(self, state: Any, accept: Any, values: Any, tune: int) -> Any:
        # The kernel learns from `init` what `sample` needs; its state is not used, nor computed.
        kernel, _ = self._kernel(state.rng_key, state.z, accept, values, tune)

        def step(state: Any, _: None) -> tuple[Any, Any]:
            state = kernel.sample(state, (), {})
            stats = {
                "diverging": state.diverging,
                "energy": state.energy,
                "lp": -state.potential_energy,
                "n_steps": state.num_steps,
                "acceptance_rate": state.accept_prob,
                "step_size": state.adapt_state.step_size,
            }
            return state, (state.z, stats)

        return jax.lax.scan(step, state, length=STRIDE)


def _jaxified(model: Any, outputs: list[Any]) -> Callable[[Any, Any], list[Any]]:
    """Return outputs as a JAX function of the values of the free variables, and of the data."""
    jax.devices()  # before PyMC asks for a hundred of them, which means 400 threads
    from pymc.sampling.jax import get_jaxified_graph

    data = {v: v.type() for v in model.data_vars}
    inputs = [*model.value_vars, *data.values()]
    function = get_jaxified_graph(inputs, clone_replace(outputs, data))
    return lambda z, values: function(*z, *values)


def _filled_up(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add empty patterns, which say nothing, so that few shapes are ever compiled."""
    patterns = len(data["rows"])
    more = 2 ** max(2, patterns.bit_length()) - 1 - patterns
    filled = {n: np.concatenate([data[n], np.zeros((more, *data[n].shape[1:]))]) for n in DATA}
    return data | filled
