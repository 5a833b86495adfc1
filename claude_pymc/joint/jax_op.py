"""The pattern-wise likelihood in JAX: importing this module registers it for pytensor's JAX linker.

The formulas are those of `claude_pymc.joint.ops`, for all patterns at once: a missing target is a
row of zeros, and the length of that row is set to one. The analytic gradient stands in for JAX's
own, which is up to twice as slow; derivatives of that gradient are JAX's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
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
    d, p = corrections.shape
    patterns = rows.shape[0]
    expected = (d, d), (d,), (patterns, d), (patterns, p + d, p + d)
    if (linkage.shape, sigma.shape, rows.shape, gram.shape) != expected:
        raise ValueError(MISFIT)
    below = jnp.tril(linkage, -1)
    sound = jnp.isfinite(below).all() & ((sigma > TINY) & (sigma < jnp.inf)).all()
    # (W, A) = T^-1 (R, diag(sigma)), by substitution from the cheapest target on.
    full = [*jnp.concatenate([corrections, jnp.diag(sigma)], axis=1)]
    for j in range(d):
        for k in range(j):
            full[j] += below[j, k] * full[k]
    # Rows of U = L^-1 (-W_G, I) and of Q, side by side because both change alike: A_G = L Q.
    value, unit = jnp.zeros(()), jnp.eye(d)
    factors: list[jax.Array] = []
    for i in range(d):
        present = rows[:, i : i + 1] > 0
        row = jnp.where(present, jnp.concatenate([-full[i][:p], unit[i], full[i][p:]]), 0.0)
        for other in factors:
            row -= (row[:, p + d :] * other[:, p + d :]).sum(axis=1, keepdims=True) * other
        square = (row[:, p + d :] ** 2).sum(axis=1, keepdims=True)
        length = jnp.sqrt(jnp.where(present, square, 1.0))
        regular = (length > TINY) & (length < jnp.inf)
        sound &= regular.all()
        length = jnp.where(regular, length, 1.0)
        value -= (rows[:, i : i + 1] * (0.5 * LOG_2PI + jnp.log(length))).sum()
        factors.append(row / length)
    u, q = jnp.split(jnp.stack(factors, axis=1), [p + d], axis=2)
    v = u @ gram
    value -= 0.5 * (u * v).sum()
    sound &= jnp.isfinite(value)
    # L^-T (V_x, (V U' - n I) Q), where L^-1 is the part of U that multiplies targets. Small sums
    # are written out, because XLA fuses them as it does not fuse matrix products.
    inner = (v[:, :, None] * u[:, None]).sum(axis=3) - unit * rows[:, None]
    g_root = (inner[..., None] * q[:, None]).sum(axis=2)
    spent = jnp.concatenate([v[..., :p], g_root], axis=2)
    g = [*(u[..., p:, None] * spent[:, :, None]).sum(axis=(0, 1))]
    for j in reversed(range(d)):
        for i in range(j + 1, d):
            g[j] += below[i, j] * g[i]
    gradient = jnp.stack(g)
    g_linkage = jnp.tril(gradient @ jnp.stack(full).T, -1)
    results = g_linkage, jnp.diagonal(gradient[:, p:]), gradient[:, :p]
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
