r"""Priors as frozen records: what is believed before the rows, on the modelled scale.

`ShrinkagePrior` (default)
    log(sigma_j - 1e-5) ~ N(log noise, noise_log_sd^2); c_jk ~ N(1, linkage_sd^2) for the nearest
    cheaper target of the same quantity, else N(0, linkage_sd^2); R_jb ~ N(0, t_jg^2) with one
    learned scale per target and group g of basis terms, log t_jg ~ N(log scale, scale_log_sd^2);
    the constant has the fixed scale `constant_sd`. If ``tied``, the scales of a group are those of
    the first target times one ratio per target, log-normal, t_jg = ratio_j t_1g. Terms of a kernel
    share t as its amplitude (`claude_pymc.joint.scales`).

`LKJPrior`
    Lambda = S K S with K ~ LKJ_D(eta), D = p + d. Order z = (y_d, ..., y_1, x). The partial
    correlations of column j of the Cholesky factor are independent with

        (rho + 1)/2 ~ Beta(a_j, a_j),    a_j = eta + (D - 1 - j)/2,

    so the d columns that matter need no others. With s_x^2 ~ t^2 chi^2(2 eta + D - 1) the rows of x
    in these columns are N(0, t^2 I_d) exactly, that is R_jb | sigma_j ~ N(0, sigma_j^2 t^2).

`FlatPrior`
    p(Lambda) = 1 in the free entries of Lambda. In the columns, with tau_j = sigma_j^-2 and m_j the
    number of free entries of C and R in column j, the density is

        p(C, tau, R) = prod_j tau_j^m_j,

    since row j of Lambda, read from the primary target on, is tau_j (1, -c_j, -R_j) plus what the
    rows before it have fixed. (Correction sets nested as K_d in .. in K_1; for other sets this
    density is the definition.)
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from claude_pymc.errors import SpecError
from claude_pymc.tables.scaling import LARGEST, LEAST

# Noise-free values exist; below this share of the scaled target the round-off of a Gram matrix
# would speak instead of the rows.
FLOOR = 1e-5


@dataclass(frozen=True)
class ShrinkagePrior:
    """Independent normal priors with one learned scale per group of basis terms.

    Parameters
    ----------
    noise, noise_log_sd : float
        Median of sigma_j and sd of log sigma_j.
    linkage_sd : float
        Prior sd of each linkage coefficient.
    constant_sd : float
        Prior sd of the constant term.
    scale, scale_log_sd : float
        Median of the learned scales t_jg and sd of their logarithm.
    correction, correction_log_sd : float, optional
        The same for targets after the first, whose terms correct what cheaper ones say; default:
        ``scale`` and ``scale_log_sd``.
    correction_constant_sd : float, optional
        The same for their constants; default: ``constant_sd``.
    tied : bool
        Scales of the other targets are those of the first one times a learned ratio: corrections
        vary as the first target does, only less.
    ratio, ratio_log_sd : float
        Median of the ratios and sd of their logarithm.
    varying : float
        Median of the learned scale of what varies the linkage, log sd as that of other scales.
    freedom, freedom_log_sd : float
        Median of the degrees of freedom of Student-t noise, and sd of their logarithm.

    Examples
    --------
    >>> ShrinkagePrior(linkage_sd=0.2).proper
    True
    """

    noise: float = 0.1
    noise_log_sd: float = 1.5
    linkage_sd: float = 0.5
    constant_sd: float = 5.0
    scale: float = 0.5
    scale_log_sd: float = 0.7
    correction: float | None = None
    correction_log_sd: float | None = None
    correction_constant_sd: float | None = None
    tied: bool = False
    ratio: float = 0.3
    ratio_log_sd: float = 1.0
    varying: float = 0.2
    freedom: float = 5.0
    freedom_log_sd: float = 0.7

    kind: ClassVar[str] = "shrinkage"
    proper: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse values that are not positive."""
        _check_positive(self)

    def describe(self) -> str:
        """Say the prior in words."""
        return (
            f"noise sigma: log-normal, median {self.noise:g}, log sd {self.noise_log_sd:g}\n"
            f"linkage: N(1, {self.linkage_sd:g}^2) to the nearest cheaper target of the same "
            f"quantity, else N(0, {self.linkage_sd:g}^2)\n"
            f"terms: N(0, t^2), one t per target and group, log-normal, median {self.scale:g}, "
            f"log sd {self.scale_log_sd:g}; constant N(0, {self.constant_sd:g}^2)"
            + (
                f"\nterms of targets after the first: median {self.of_corrections[0]:g}, "
                f"log sd {self.of_corrections[1]:g}"
                if self.of_corrections != (self.scale, self.scale_log_sd)
                else ""
            )
            + (
                f"\nconstants of targets after the first: N(0, {self.constant_of(1):g}^2)"
                if self.constant_of(1) != self.constant_sd
                else ""
            )
            + (
                f"\nscales of later targets: those of the first times one ratio, log-normal, "
                f"median {self.ratio:g}, log sd {self.ratio_log_sd:g}"
                if self.tied
                else ""
            )
        )

    @property
    def of_corrections(self) -> tuple[float, float]:
        """Median and log sd of the scales of targets after the first."""
        median = self.scale if self.correction is None else self.correction
        log_sd = self.scale_log_sd if self.correction_log_sd is None else self.correction_log_sd
        return median, log_sd

    def constant_of(self, j: int) -> float:
        """Prior sd of the constant of target j."""
        own = self.correction_constant_sd
        return self.constant_sd if own is None or j == 0 else own

    def describe_rows(self) -> str:
        """Say the prior of what only a specification that needs rows has."""
        return (
            f"what varies the linkage: N(0, t^2), t log-normal, median {self.varying:g}, "
            f"log sd {self.scale_log_sd:g}\n"
            f"degrees of freedom of Student-t noise: log-normal, median {self.freedom:g}, "
            f"log sd {self.freedom_log_sd:g}"
        )


@dataclass(frozen=True)
class LKJPrior:
    """LKJ prior on the correlations of the joint precision; only its d target columns are needed.

    Parameters
    ----------
    eta : float
        Shape of the LKJ distribution over D = basis + targets dimensions. Mind that a large D
        squeezes the linkage: the sd of its partial correlation is (2 eta + D - 1)^(-1/2).
    t : float
        Scale of the rows of x: R_jb | sigma_j ~ N(0, sigma_j^2 t^2).
    noise, noise_log_sd : float
        Median and log sd of 1 / s_y, the residual sd of each target given everything else.

    Examples
    --------
    >>> round(LKJPrior(eta=1.0).beta_shape(column=1, n_terms=2, n_targets=2), 2)
    2.0
    """

    eta: float = 1.0
    t: float = 10.0
    noise: float = 0.1
    noise_log_sd: float = 1.5

    kind: ClassVar[str] = "lkj"
    proper: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse values that are not positive."""
        _check_positive(self)

    def beta_shape(self, column: int, n_terms: int, n_targets: int) -> float:
        """Shape a_j of the symmetric Beta of the partial correlations in column j = 1, 2, ..."""
        return self.eta + (n_terms + n_targets - 1 - column) / 2

    def log_density_columns(self, partial: np.ndarray, n_terms: int, n_targets: int) -> float:
        """Log density of the partial correlations of the first d columns.

        ``partial`` (z, target) holds rho of row i and column j < i, in the order
        z = (y_d, ..., y_1, x); other entries are not read.
        """
        total = 0.0
        for j in range(1, n_targets + 1):
            a = self.beta_shape(j, n_terms, n_targets)
            rho = partial[j:, j - 1]
            norm = 2 * math.lgamma(a) - math.lgamma(2 * a) + (2 * a - 1) * math.log(2)
            total += float(np.sum((a - 1) * np.log1p(-(rho**2)))) - rho.size * norm
        return total

    def describe(self) -> str:
        """Say the prior in words."""
        return (
            f"precision S K S, K ~ LKJ(eta = {self.eta:g}) over basis terms and targets\n"
            f"1/s_y: log-normal, median {self.noise:g}, log sd {self.noise_log_sd:g}\n"
            f"terms: N(0, (t sigma)^2) with t = {self.t:g}"
        )


@dataclass(frozen=True)
class FlatPrior:
    """The paper's uniform prior on the free entries of the precision.

    Under likelihood "joint" the constant is the one term: flat in Lambda and in Lambda times the
    mean. It is improper: rows must determine the posterior, else sampling is refused with the
    counts that are short. It is not flat in the coefficients and makes the noise too small: with
    complete data and no zeros Lambda_yy ~ Wishart(n + p + d + 1, S^-1), where residuals carry n - p
    degrees of freedom (n rows, p terms, d targets, S the residual scatter). `find_map` under it is
    maximum likelihood.

    Source: Harashima et al., Phys. Rev. Materials 9, 093803 (2025), below eq. (5).

    Examples
    --------
    >>> FlatPrior().proper
    False
    """

    kind: ClassVar[str] = "flat"
    proper: ClassVar[bool] = False

    def describe(self) -> str:
        """Say the prior in words."""
        return "flat in the free entries of the precision, improper; shrinks the noise"


Prior = ShrinkagePrior | LKJPrior | FlatPrior
PRIORS: dict[str, type[Any]] = {
    "shrinkage": ShrinkagePrior,
    "lkj": LKJPrior,
    "flat": FlatPrior,
}


def prior_to_dict(prior: Prior) -> dict[str, Any]:
    """Return the fields as plain JSON values."""
    return {"kind": prior.kind, **asdict(prior)}


def prior_from_dict(data: dict[str, Any]) -> Prior:
    """Rebuild a prior from :func:`prior_to_dict`."""
    fields = dict(data)
    kind = fields.pop("kind", "shrinkage")
    fine = isinstance(kind, str) and kind in PRIORS
    known = [f.name for f in dataclasses.fields(PRIORS[kind])] if fine else []
    unknown = [name for name in fields if name not in known]
    if not fine or unknown:
        got, names = (unknown[0], known) if fine else (kind, list(PRIORS))
        near = difflib.get_close_matches(str(got).lower(), names, n=1, cutoff=0.0)
        raise SpecError(
            f"fields {sorted(known)}" if fine else f"a prior of kind {sorted(PRIORS)}",
            f"{got!r}",
            "a typing error, or a file written by a newer version",
            f"did you mean {near[0]!r}?" if near else "leave it out",
        )
    return PRIORS[kind](**fields)


def _check_positive(prior: Prior) -> None:
    """Refuse parameters that are not positive finite numbers."""
    for name, value in asdict(prior).items():
        if name == "tied":
            if not isinstance(value, bool):
                raise SpecError(
                    "True or False for tied", f"{value!r}", "a typing error", "choose one"
                )
            continue
        if value is None and name.startswith("correction"):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and LEAST <= value <= LARGEST):
            raise SpecError(
                f"a positive number for {name}",
                f"{value!r}",
                "scales and shapes of a prior cannot be zero, negative or infinite, and lie "
                f"between {LEAST:g} and {LARGEST:g}",
                f"give {name} a positive value, on the scale of the standardised targets",
            )
