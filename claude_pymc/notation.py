"""Dims and symbols, written down once.

paper      code                 dims
x          x                    (row, descriptor)
phi(x)     phi                  (row, basis)
y          y                    (row, target), cheapest first, primary last; NaN = not measured
Lambda_yy  precision_yy         (target, target_bis)
Lambda_yx  precision_yx         (target, basis)
Sigma      covariance           (target, target_bis)
W          coefficients         (target, basis)
C          linkage              (target, target_bis), strictly lower
R          corrections          (target, basis), zero outside the correction sets
sigma      sigma                (target)
Gamma      present              (pattern, target)
"""

from __future__ import annotations

BASIS = "basis"
TARGET = "target"
TARGET_BIS = "target_bis"
VARIABLE = "variable"
VARIABLE_BIS = "variable_bis"
CHAIN = "chain"
DRAW = "draw"
SAMPLE = "sample"
CANDIDATE = "candidate"

# Quantities every posterior carries, whichever prior and sampler made it.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "linkage": (TARGET, TARGET_BIS),
    "sigma": (TARGET,),
    "corrections": (TARGET, BASIS),
    "coefficients": (TARGET, BASIS),
    "covariance": (TARGET, TARGET_BIS),
    "precision_yy": (TARGET, TARGET_BIS),
    "precision_yx": (TARGET, BASIS),
}
# Where rows are needed one by one also: what varies the linkage, degrees of freedom of Student-t
# noise, noise by source, each of the primary target.
ROW_PARAMETERS: dict[str, tuple[str, ...]] = {
    "varying": ("varying_term",),
    "freedom": (),
    "source_sigma": ("source",),
}
# Under the likelihood "joint" also, over descriptors and targets z = (x, y): mean and covariance,
# computed after sampling from the columns of all variables.
JOINT_PARAMETERS: dict[str, tuple[str, ...]] = {
    "joint_mean": (VARIABLE,),
    "joint_covariance": (VARIABLE, VARIABLE_BIS),
}
JOINT_COLUMNS: dict[str, tuple[str, ...]] = {
    "joint_linkage": (VARIABLE, VARIABLE_BIS),
    "joint_sigma": (VARIABLE,),
    "joint_constant": (VARIABLE,),
}
