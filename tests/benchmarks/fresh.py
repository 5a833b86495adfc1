"""One fit in a fresh process, everything counted: python fresh.py ours|imputing|marginal|numpyro.

Prints the least effective sample size; whoever starts it takes the time.
"""

from __future__ import annotations

import sys

import numpy as np

DRAWS, CHAINS = 1000, 4


def least_ess(draws: dict[str, np.ndarray]) -> float:
    """Least bulk ESS over everything that varies; arrays (chain, draw, ...)."""
    from arviz_stats.base import array_stats

    found = []
    for values in draws.values():
        for column in values.reshape(*values.shape[:2], -1).transpose(2, 0, 1):
            if np.ptp(column) > 0:
                found.append(float(array_stats.ess(column, chain_axis=0, draw_axis=1)))
    return min(found)


def ours() -> float:
    """`sample` as a user calls it."""
    import problems

    import claude_pymc as cp

    problem = problems.apart()
    tree = cp.sample(problem.spec, problem.stats, draws=DRAWS, chains=CHAINS, seed=0)
    names = ("linkage", "sigma", "scale", "corrections")
    posterior = tree["posterior"].dataset
    draws = {n: posterior[n].transpose("chain", "draw", ...).to_numpy() for n in names}
    return min(least_ess(draws), float(tree.attrs["importance_ess"]))


def imputing() -> float:
    """Plain PyMC, missing values imputed, nutpie."""
    return _nutpie(impute=True)


def marginal() -> float:
    """Plain PyMC, patterns written by hand, nutpie."""
    return _nutpie(impute=False)


def _nutpie(*, impute: bool) -> float:
    import peers
    import problems

    compiled = peers.nutpie_compiled(peers.model_of(problems.apart(), impute=impute))
    return least_ess(peers.nutpie_draws(compiled, DRAWS, CHAINS, 0)[0])


def numpyro() -> float:
    """Plain PyMC, patterns written by hand, NumPyro."""
    import peers
    import problems
    import pymc as pm

    with peers.model_of(problems.apart(), impute=False):
        tree = pm.sample(
            DRAWS,
            chains=CHAINS,
            random_seed=0,
            nuts_sampler="numpyro",
            progressbar=False,
            compute_convergence_checks=False,
            nuts_sampler_kwargs={"chain_method": "sequential"},
        )
    posterior = tree["posterior"]
    draws = {n: posterior[n].transpose("chain", "draw", ...).to_numpy() for n in peers.NAMES}
    return least_ess(draws)


if __name__ == "__main__":
    sys.stdout.write(f"{globals()[sys.argv[1]]():.1f}\n")
