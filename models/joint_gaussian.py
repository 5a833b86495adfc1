"""The joint Gaussian of descriptors and two targets, written out in plain PyMC: the reference.

In one sentence: the row z = (y_exp, y_sim, phi(x)) is Gaussian with a precision Lambda = L L' whose
Cholesky factor L has an LKJ prior, and of each row we observe the targets that were measured.

Given x, with Lambda_yy the block of the targets and Lambda_yx that between targets and x,

    y | x ~ N(W phi(x), Sigma),    Sigma = Lambda_yy^-1,    W = -Sigma Lambda_yx,

and of a row in which only the targets G were measured the rest is integrated out:

    y_G | x ~ N(W_G phi(x), Sigma_GG).

The first row of Lambda says how the measured value follows from the simulated one,

    y_exp = c y_sim + R phi(x) + sigma_exp eps,    c = -Lambda_es / Lambda_ee,
                                                   sigma_exp^2 = 1 / Lambda_ee.

Source: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), eq. (3), (4), (8)-(13).

The package samples the same posterior with only the first two columns of L, and with the rows
condensed to one count and one Gram matrix per pattern. Here every entry of L is sampled and every
row is seen, so this file is slower, and easier to believe. All terms of phi are corrections here:
a structural zero of L cannot be said with `pm.LKJCholeskyCov`.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt


def joint_gaussian(phi, y, eta, t, noise, noise_log_sd):
    """Declare the model for phi (row, term) and y (row, 2) = (sim, exp), NaN = not measured.

    Lambda = S K S with K ~ LKJ(eta). The scale of a target in S is one over its residual sd:
    log-normal with median 1 / noise. The scale of a term is t times a chi variable, with which the
    entries of L that link terms and targets become independent N(0, t^2).
    """
    phi, y = np.asarray(phi, dtype=float), np.asarray(y, dtype=float)[:, ::-1]  # exp first, as in z
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
            signature="(y),(x)->(z)",
        )
        chol, _, _ = pm.LKJCholeskyCov(
            "chol", n=n_all, eta=eta, sd_dist=sd_dist, store_in_trace=False
        )

        precision = chol @ chol.T
        precision_yy, precision_yx = precision[:2, :2], precision[:2, 2:]
        covariance = pt.linalg.inv(precision_yy)
        coefficients = -covariance @ precision_yx

        measured = ~np.isnan(y)
        for pattern in np.unique(measured[measured.any(axis=1)], axis=0):
            rows, targets = (measured == pattern).all(axis=1), np.flatnonzero(pattern)
            pm.MvNormal(
                "y_" + "_".join(["exp", "sim"][j] for j in targets),
                mu=phi[rows] @ coefficients[targets].T,
                cov=covariance[targets][:, targets],
                observed=y[rows][:, targets],
            )

        # In the order (sim, exp) of the data; sigma is each target's noise given the cheaper one.
        noise_exp, noise_sim = precision_yy[0, 0] ** -0.5, covariance[1, 1] ** 0.5
        pm.Deterministic("linkage", -precision_yy[0, 1] / precision_yy[0, 0])
        pm.Deterministic("sigma", pt.stack([noise_sim, noise_exp]))
        pm.Deterministic("coefficients", coefficients[::-1])
    return model
