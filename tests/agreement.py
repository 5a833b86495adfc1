"""Do two posteriors agree: every mean and every sd, in units of their Monte Carlo errors."""

import numpy as np
from arviz_stats.base import array_stats
from scipy.stats import norm

LOGS = ("sigma", "scale", "freedom", "source_sigma")
NAMES = ("linkage", "sigma", "corrections", "coefficients", "scale", "joint_mean")
NAMES += ("varying", "freedom", "source_sigma")  # where rows are needed


def estimates(tree, inside=None):
    """Means and sds with their standard errors, {(name, place, method): (value, error)}.

    Positive quantities enter as logarithms. Draws of method "exact" are independent, but for the
    weights that they were resampled by: these count as often as their effective number says, and
    the resampling, which leaves a remainder below one draw for each, at most as a quarter more.
    ``inside`` (chain, draw) restricts independent draws, or keeps whole chains of others.
    """
    posterior, exact = tree["posterior"].dataset, tree.attrs["method"] == "exact"
    found, number = {}, posterior.sizes["chain"] * posterior.sizes["draw"]
    more = np.sqrt(number / tree.attrs["importance_ess"] + 0.25) if exact else 1.0
    for name in NAMES:
        if name not in posterior:
            continue
        values = posterior[name].transpose("chain", "draw", ...).to_numpy()
        values = np.log(values) if name in LOGS else values
        if inside is not None:
            values = values[inside][None] if exact else values[inside.all(axis=1)]
        for place in np.ndindex(values.shape[2:]):
            draws = values[(..., *place)]
            if np.ptp(draws) < 1e-12:  # a structural zero
                continue
            for method, value in (("mean", draws.mean()), ("sd", draws.std())):
                error = array_stats.mcse(draws, chain_axis=0, draw_axis=1, method=method)
                found[name, place, method] = float(value), float(error * more)
    return found


def deviations(one, other):
    """Differences of two sets of estimates in units of their joint errors."""
    assert one.keys() == other.keys() and one
    return {
        key: (value - other[key][0]) / np.hypot(error, other[key][1])
        for key, (value, error) in one.items()
    }


def check_agreement(one, other, tests=1, level=0.01):
    """No estimate deviates, at ``level`` after Bonferroni over all; the largest deviation."""
    z = deviations(one, other)
    worst = max(z, key=lambda key: abs(z[key]))
    most = norm.isf(level / (2 * len(z) * tests))
    assert abs(z[worst]) < most, {key: v for key, v in z.items() if abs(v) > 3}
    return len(z), float(z[worst]), worst
