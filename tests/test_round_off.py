"""Where digits of sums of squares run out the joint density ends, instead of gaining by them."""

import numpy as np

import claude_pymc as cp
from claude_pymc.joint.collapsed import CollapsedPosterior
from claude_pymc.joint.inputs import arrays_of

COLUMNS = ["period", "group", "electronegativity_filled", "covalent_radius", "mass"]
POSSIBLE = (
    1400.0  # nats: 129 values, each met to the floor of the noise, have 129 log(1e5 / sqrt(2 pi))
)


def test_collinear_terms_and_a_tiny_noise_gain_nothing(rng):
    frame = cp.load_dataset("elements")
    frame = frame[frame["bulk_modulus_sim"].notna()]
    y = np.log(frame[["bulk_modulus_sim", "bulk_modulus_exp"]].to_numpy(float))
    rows = cp.Table(COLUMNS, ["sim", "exp"], frame[COLUMNS].to_numpy(float), y)
    basis = cp.HSGP(order=12, boundary=2, products=True)
    design = cp.Design.from_table(rows, basis, {"exp": ["all"]})
    spec = cp.JointGaussian(design)
    density = CollapsedPosterior(spec, **arrays_of(spec, cp.PatternStats.from_table(rows, design)))
    points = density.wide.draw(1000, rng)
    far = points.mean(axis=0) + 4.0 * (points - points.mean(axis=0))
    values = density.batch(far)
    assert values.max() < POSSIBLE
    assert np.isfinite(density.batch(points)).mean() > 0.9
