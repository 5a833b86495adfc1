"""Ascent to a mode of a smooth log density of few dimensions (BFGS).

SciPy's optimisers spend four times as long on their own checks as a density here takes, and ascents
were most of the time of a fit. Formulas: Nocedal, Wright, Numerical Optimization (2006), ch. 3, 6.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FLAT = 1e-3  # largest slope at which an ascent has arrived
LEAST_GAIN = 1e-9  # of the density
MOST_STEPS, MOST_CUTS = 200, 20
LONGEST = 3.0  # step in any coordinate


def ascend(
    evaluate: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    known: Callable[[np.ndarray], bool],
    inverse: np.ndarray | None = None,
    flat: float = FLAT,
) -> tuple[np.ndarray, float] | None:
    """Climb from a start.

    Parameters
    ----------
    evaluate : callable
        Log density and gradient at a point; a value that is not finite counts as minus infinity.
    start : array (dim)
    known : callable
        Says whether a point lies at a mode that was found before: then the climb ends.
    inverse : array (dim, dim), optional
        Inverse of minus the Hessian, as far as it is known.
    flat : float
        Largest slope at which the climb has arrived.

    Returns
    -------
    mode (dim) and log density there, or None at a known mode and where the density is not finite
    """
    x = start
    value, slope = evaluate(x)
    if not np.isfinite(value):
        return None
    for _ in range(MOST_STEPS):
        if known(x):
            return None
        steepest = np.abs(slope).max()
        if not steepest > flat:  # or no number: at the edge of what is defined
            break
        step = slope / steepest if inverse is None else inverse @ slope
        if inverse is not None and step @ slope <= 0:  # rounding has spoilt the curvature
            inverse, step = None, slope / steepest
        step = step * min(1.0, LONGEST / np.abs(step).max())
        gain = step @ slope
        for _ in range(MOST_CUTS):
            further, change = evaluate(x + step)
            if further >= value + 1e-4 * gain and np.isfinite(change).all():
                break
            # The top of the parabola through both values, within a tenth and a half of the step.
            top = gain / (2 * (gain + value - further)) if np.isfinite(further) else 0.1
            cut = min(max(top, 0.1), 0.5)
            step, gain = cut * step, cut * gain
        else:
            break
        bend = slope - change
        curvature = step @ bend
        if curvature > 1e-10 * np.sqrt((step @ step) * (bend @ bend)):
            if inverse is None:
                inverse = np.eye(len(x)) * (curvature / (bend @ bend))
            towards = inverse @ bend
            outer = np.outer(step, towards / curvature)
            inverse = inverse - outer - outer.T
            inverse += np.outer(step, step) * ((1.0 + towards @ bend / curvature) / curvature)
        arrived = further - value < LEAST_GAIN * max(abs(value), abs(further), 1.0)
        x, value, slope = x + step, further, change
        if arrived:
            break
    return x, float(value)
