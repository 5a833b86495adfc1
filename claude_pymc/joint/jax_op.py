"""Both likelihoods in JAX: importing this module registers them for pytensor's JAX linker.

The formulas are those of `claude_pymc.joint.ops` and `claude_pymc.joint.collapsed_kernel`, for all
patterns at once: a missing target is a row of zeros whose length is set to one. Loops over targets
are scans, so that compilation takes no longer for many targets. The analytic gradient stands in for
JAX's own, which is up to twice as slow; derivatives of that gradient are JAX's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import cho_solve
from pytensor.link.jax.dispatch import jax_funcify

from claude_pymc.joint.collapsed_op import CollapsedLogLikelihood
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
    below, unit = jnp.tril(linkage, -1), jnp.eye(d)
    sound = jnp.isfinite(below).all() & ((sigma > TINY) & (sigma < jnp.inf)).all()

    # (W, A) = T^-1 (R, diag(sigma)), U = L^-1 (-W_G, I) and A_G = L Q.
    full = _substituted(below, jnp.concatenate([corrections, jnp.diag(sigma)], axis=1))
    u, q, lengths = _whitened(-full[:, :p], full[:, p:], rows)
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
    g, _ = lax.scan(back, g, jnp.arange(d), reverse=True)
    results = jnp.tril(g @ full.T, -1), jnp.diagonal(g[:, p:]), g[:, :p]
    return jnp.where(sound, value, -jnp.inf), *(jnp.where(sound, r, jnp.nan) for r in results)


def _substituted(below: jax.Array, full: jax.Array) -> jax.Array:
    """T^-1 times a matrix, T = I - C, by substitution from the cheapest target on."""

    def substitute(full: jax.Array, j: jax.Array) -> tuple[jax.Array, None]:
        return full + below[:, j, None] * full[j], None

    return lax.scan(substitute, full, jnp.arange(len(below)))[0]


def _whitened(
    carried: jax.Array, root: jax.Array, rows: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """L^-1 (carried, I), Q and the diagonal of L for each pattern G, where root_G = L Q."""
    d, start = len(root), carried.shape[1] + len(root)
    places = jnp.arange(d)

    def orthogonalise(factors: jax.Array, i: jax.Array) -> tuple[jax.Array, jax.Array]:
        row = factors[:, i]
        square = (row[:, start:] ** 2).sum(axis=1)
        length = jnp.sqrt(jnp.where(rows[:, i] > 0, square, 1.0))
        row = (row / length[:, None])[:, None]
        dots = (factors[..., start:] * row[..., start:]).sum(axis=2, keepdims=True)
        others = factors - jnp.where(places[:, None] > i, dots, 0.0) * row
        return jnp.where(places[:, None] == i, row, others), length

    # Rows of both, side by side because they change alike.
    factors = jnp.concatenate([carried, jnp.eye(d), root], axis=1)
    factors, lengths = lax.scan(orthogonalise, jnp.where(rows[..., None] > 0, factors, 0.0), places)
    u, q = jnp.split(factors, [start], axis=2)
    return u, q, lengths


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


def collapsed_value_and_gradients(
    entries: tuple[tuple[int, int], ...],
    linkage: Any,
    sigma: Any,
    sd: Any,
    rows: Any,
    gram: Any,
) -> tuple[jax.Array, ...]:
    """Value and gradients with respect to C (strictly lower), sigma and the prior sds.

    The corrections are integrated out; given their mean and covariance the two calls of the
    pattern-wise likelihood see them through the d surfaces R_j . phi, as a basis of d terms.

    Parameters
    ----------
    entries : tuple of (target, term)
        Free entries of R, ordered by target.
    linkage, sigma, sd, rows, gram : arrays
        As in `claude_pymc.joint.collapsed_op.collapsed_log_likelihood`.

    Raises
    ------
    ValueError
        If shapes do not fit, while JAX traces.
    """
    linkage, sigma, sd = (jnp.asarray(a) for a in (linkage, sigma, sd))
    rows, gram = jnp.asarray(rows), jnp.asarray(gram)
    d, z, patterns = sigma.size, gram.shape[-1], rows.shape[0]
    expected = (d, d), (d,), (len(entries),), (patterns, d), (patterns, z, z)
    places = np.array(entries, dtype=int).reshape(-1, 2)
    fit = tuple(a.shape for a in (linkage, sigma, sd, rows, gram)) == expected
    if not fit or (places >= (d, z - d)).any():
        raise ValueError(MISFIT)
    owner, term, p, unit = places[:, 0], places[:, 1], z - d, jnp.eye(d)
    finite = jnp.isfinite(sd)
    safe = jnp.where(finite, sd, 1.0)
    sound = ((sd > TINY) & (finite | (sd == jnp.inf))).all()
    prior = jnp.where(finite, 1.0 / safe**2, 0.0)
    inverse = _substituted(jnp.tril(linkage, -1), unit)
    carry, *_ = _whitened(inverse, inverse * sigma, rows)  # L^-1 (T^-1, I)
    weight = jnp.einsum("mij,mik->mjk", carry[..., :d], carry[..., :d])
    across = jnp.einsum("mij,mik->mjk", carry[..., :d], carry[..., d:])
    among = gram[:, term][:, :, term]
    h = (weight[:, owner][:, :, owner] * among).sum(axis=0) + jnp.diag(prior)
    mean = jnp.einsum("mei,mei->e", across[:, owner], gram[:, term, p:])
    root = jnp.linalg.cholesky(h)
    mean = cho_solve((root, True), mean)
    covariance = cho_solve((root, True), jnp.eye(len(entries)))
    member = jnp.asarray(owner[:, None] == np.arange(d), dtype=sd.dtype)

    def surfaces(second: jax.Array) -> jax.Array:
        """Gram matrices of (R . phi, y) for second moments of the entries of R."""
        own = jnp.einsum("ej,mef,fk->mjk", member, second * among, member)
        mixed = jnp.einsum("ej,e,mek->mjk", member, mean, gram[:, term, p:])
        lower = jnp.concatenate([mixed.swapaxes(1, 2), gram[:, p:, p:]], axis=2)
        return jnp.concatenate([jnp.concatenate([own, mixed], axis=2), lower], axis=1)

    square = jnp.outer(mean, mean)
    value, *_ = value_and_gradients(linkage, sigma, unit, rows, surfaces(square))
    logs = jnp.where(finite, -jnp.log(safe) - 0.5 * mean**2 * prior, 0.5 * LOG_2PI)
    value += (logs - jnp.log(jnp.diagonal(root))).sum()
    _, *results, _ = value_and_gradients(linkage, sigma, unit, rows, surfaces(square + covariance))
    slope = ((mean / safe) ** 2 + jnp.diagonal(covariance) * prior - 1.0) / safe
    results.append(jnp.where(finite, slope, 0.0))
    sound &= jnp.isfinite(value)
    return jnp.where(sound, value, -jnp.inf), *(jnp.where(sound, r, jnp.nan) for r in results)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def collapsed_log_likelihood(
    entries: tuple[tuple[int, int], ...],
    linkage: Any,
    sigma: Any,
    sd: Any,
    rows: Any,
    gram: Any,
) -> jax.Array:
    """Value alone, whose derivatives are the analytic ones; the data have none.

    Parameters
    ----------
    entries, linkage, sigma, sd, rows, gram
        As in `collapsed_value_and_gradients`.
    """
    return collapsed_value_and_gradients(entries, linkage, sigma, sd, rows, gram)[0]


@collapsed_log_likelihood.defjvp
def _collapsed_log_likelihood_jvp(entries: Any, primals: Any, tangents: Any) -> tuple[Any, Any]:
    value, *gradients = collapsed_value_and_gradients(entries, *primals)
    parts = [(g * t).sum() for g, t in zip(gradients, tangents[:3], strict=True)]
    return value, sum(parts)


@partial(jax.jit, static_argnums=0)
def _collapsed_outputs(entries: tuple[tuple[int, int], ...], *inputs: Any) -> tuple[Any, ...]:
    value = collapsed_log_likelihood(entries, *inputs)
    return value, *collapsed_value_and_gradients(entries, *inputs)[1:]


@jax_funcify.register(CollapsedLogLikelihood)
def _collapsed_log_likelihood_jax(op: CollapsedLogLikelihood, **kwargs: Any) -> Callable[..., Any]:
    return partial(_collapsed_outputs, op.entries)
