"""The pattern-wise likelihood in JAX: importing this module registers it for pytensor's JAX linker.

The formulas are those of `claude_pymc.joint.ops`, for all patterns at once: a missing target is a
row of zeros whose length is set to one. Loops over targets are scans, so that compilation takes no
longer for many targets. The analytic gradient stands in for JAX's own, which is up to twice as
slow; derivatives of that gradient are JAX's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from pytensor.link.jax.dispatch import jax_funcify

from claude_pymc.joint.gaussian import LOG_2PI
from claude_pymc.joint.kernel import TINY
from claude_pymc.joint.ops import MISFIT, PatternLogLikelihood


def value_and_gradients(
    linkage: Any, sigma: Any, corrections: Any, rows: Any, gram: Any
) -> tuple[jax.Array, ...]:
    """Value and gradients with respect to C (strictly lower), sigma and R.

    Parameters
    ----------
    linkage, sigma, corrections, rows, gram : arrays
        As in `claude_pymc.joint.ops.pattern_log_likelihood`.

    Raises
    ------
    ValueError
        If shapes do not fit, while JAX traces.
    """
    linkage, sigma, corrections = (jnp.asarray(a) for a in (linkage, sigma, corrections))
    rows, gram = jnp.asarray(rows), jnp.asarray(gram)
    d, p = corrections.shape
    patterns = rows.shape[0]
    expected = (d, d), (d,), (patterns, d), (patterns, p + d, p + d)
    if (linkage.shape, sigma.shape, rows.shape, gram.shape) != expected:
        raise ValueError(MISFIT)
    below, unit, places = jnp.tril(linkage, -1), jnp.eye(d), jnp.arange(d)
    sound = jnp.isfinite(below).all() & ((sigma > TINY) & (sigma < jnp.inf)).all()

    def substitute(full: jax.Array, j: jax.Array) -> tuple[jax.Array, None]:
        return full + below[:, j, None] * full[j], None

    # (W, A) = T^-1 (R, diag(sigma)), by substitution from the cheapest target on.
    full = jnp.concatenate([corrections, jnp.diag(sigma)], axis=1)
    full, _ = lax.scan(substitute, full, places)

    def orthogonalise(factors: jax.Array, i: jax.Array) -> tuple[jax.Array, jax.Array]:
        row = factors[:, i]
        square = (row[:, p + d :] ** 2).sum(axis=1)
        length = jnp.sqrt(jnp.where(rows[:, i] > 0, square, 1.0))
        row = (row / length[:, None])[:, None]
        dots = (factors[..., p + d :] * row[..., p + d :]).sum(axis=2, keepdims=True)
        others = factors - jnp.where(places[:, None] > i, dots, 0.0) * row
        return jnp.where(places[:, None] == i, row, others), length

    # Rows of U = L^-1 (-W_G, I) and of Q, side by side because both change alike: A_G = L Q.
    factors = jnp.concatenate([-full[:, :p], unit, full[:, p:]], axis=1)
    factors = jnp.where(rows[..., None] > 0, factors, 0.0)
    factors, lengths = lax.scan(orthogonalise, factors, places)
    u, q = jnp.split(factors, [p + d], axis=2)
    v = u @ gram
    value = -(rows.T * (0.5 * LOG_2PI + jnp.log(lengths))).sum() - 0.5 * (u * v).sum()
    sound &= ((lengths > TINY) & (lengths < jnp.inf)).all() & jnp.isfinite(value)

    def back(g: jax.Array, j: jax.Array) -> tuple[jax.Array, None]:
        return g + below[j, :, None] * g[j], None

    # L^-T (V_x, (V U' - n I) Q), where L^-1 is the part of U that multiplies targets. Small sums
    # are written out, because XLA fuses them as it does not fuse matrix products.
    inner = (v[:, :, None] * u[:, None]).sum(axis=3) - unit * rows[:, None]
    g_root = (inner[..., None] * q[:, None]).sum(axis=2)
    spent = jnp.concatenate([v[..., :p], g_root], axis=2)
    g = (u[..., p:, None] * spent[:, :, None]).sum(axis=(0, 1))
    g, _ = lax.scan(back, g, places, reverse=True)
    results = jnp.tril(g @ full.T, -1), jnp.diagonal(g[:, p:]), g[:, :p]
    return jnp.where(sound, value, -jnp.inf), *(jnp.where(sound, r, jnp.nan) for r in results)


@jax.custom_jvp
def log_likelihood(linkage: Any, sigma: Any, corrections: Any, rows: Any, gram: Any) -> jax.Array:
    """Value alone, whose derivatives are the analytic ones; the data have none.

    Parameters
    ----------
    linkage, sigma, corrections, rows, gram : arrays
        As in `claude_pymc.joint.ops.pattern_log_likelihood`.
    """
    return value_and_gradients(linkage, sigma, corrections, rows, gram)[0]


@log_likelihood.defjvp
def _log_likelihood_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    value, *gradients = value_and_gradients(*primals)
    parts = [(g * t).sum() for g, t in zip(gradients, tangents[:3], strict=True)]
    return value, sum(parts)


@jax.jit
def _outputs(*inputs: Any) -> tuple[Any, ...]:
    return log_likelihood(*inputs), *value_and_gradients(*inputs)[1:]


@jax_funcify.register(PatternLogLikelihood)
def _pattern_log_likelihood_jax(op: PatternLogLikelihood, **kwargs: Any) -> Callable[..., Any]:
    return _outputs
