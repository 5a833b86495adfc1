"""The joint Gaussian of descriptors and two targets, written out in plain PyMC: the reference.

In one sentence: a row z = (y_exp, y_sim, phi(x)) is Gaussian with a precision Lambda = L L' whose
Cholesky factor L has an LKJ prior, and of each row we see the targets that were measured.

Given x, with Lambda_yy the block of the targets and Lambda_yx that between targets and terms,

    y | x ~ N(W phi(x), Sigma),    Sigma = Lambda_yy^-1,    W = -Sigma Lambda_yx,

and what was not measured is integrated out, which for a Gaussian is to leave it out:

    y_sim | x        ~ N(W_sim phi(x), Sigma_ss)        wherever the simulation is known,
    y_exp | y_sim, x ~ N(W_exp phi(x) + c (y_sim - W_sim phi(x)), 1 / Lambda_ee)   with it,
    y_exp | x        ~ N(W_exp phi(x), Sigma_ee)        and without it.

c = -Lambda_es / Lambda_ee is the linkage: how much of the simulated value carries over.
Source: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), eq. (3), (4), (8)-(13).

The package has the same posterior, but samples only the two columns of L that belong to targets
and sees each pattern of missing targets as one count and one Gram matrix. Here every entry of L is
sampled and every row is seen: slower, and easier to believe. Each term of phi is a correction
here; that a term is none (a structural zero of L) cannot be said with `pm.LKJCholeskyCov`.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt


def product(a, b):
    """Return the matrix product `a @ b`, as a sum, which PyTensor compiles much faster."""
    return (a[:, :, None] * b).sum(axis=1)


def joint_gaussian(phi, y, eta, t, noise, noise_log_sd):
    """Declare the model for phi (row, term) and y (row, 2) = (sim, exp), NaN = not measured.

    Lambda = S K S with K ~ LKJ(eta). The scale of a target in S is one over its residual sd:
    log-normal with median 1 / noise. The scale of a term is t times a chi variable, with which the
    entries of L that link terms and targets become independent N(0, t^2).
    """
    phi = np.asarray(phi, dtype=float)
    y_sim, y_exp = np.asarray(y, dtype=float).T
    has_sim, has_exp = ~np.isnan(y_sim), ~np.isnan(y_exp)
    both, exp_only = has_exp & has_sim, has_exp & ~has_sim
    n_terms = phi.shape[1]
    n_all = 2 + n_terms

    def scales(log_median, degrees, size):
        of_targets = pm.LogNormal.dist(log_median, noise_log_sd)
        of_terms = t * pt.sqrt(pm.ChiSquared.dist(degrees))
        return pt.concatenate([of_targets, of_terms])

    with pm.Model() as model:
        sd_dist = pm.CustomDist.dist(
            np.full(2, -np.log(noise)),
            np.full(n_terms, 2 * eta + n_all - 1.0),
            dist=scales,
            signature="(target),(term)->(z)",
        )
        chol = pm.LKJCholeskyCov("chol", n=n_all, eta=eta, sd_dist=sd_dist, store_in_trace=False)[0]

        precision = product(chol, chol.T)
        ee, es, ss = precision[0, 0], precision[0, 1], precision[1, 1]
        covariance = pt.stack([[ss, -es], [-es, ee]]) / (ee * ss - es**2)
        coefficients = -product(covariance, precision[:2, 2:])
        linkage = -es / ee

        mean, sd = product(coefficients, phi.T), pt.sqrt(pt.diagonal(covariance))
        exp, sd_exp, sim, sd_sim = mean[0], sd[0], mean[1], sd[1]
        exp_given_sim = exp[both] + linkage * (y_sim[both] - sim[both])
        pm.Normal("sim", sim[has_sim], sd_sim, observed=y_sim[has_sim])
        pm.Normal("exp_given_sim", exp_given_sim, ee**-0.5, observed=y_exp[both])
        pm.Normal("exp_only", exp[exp_only], sd_exp, observed=y_exp[exp_only])

        # In the order (sim, exp) of the data; sigma is the noise of a target given the cheaper one.
        pm.Deterministic("linkage", linkage)
        pm.Deterministic("sigma", pt.stack([sd_sim, ee**-0.5]))
        pm.Deterministic("coefficients", coefficients[::-1])
    return model
