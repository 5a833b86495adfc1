"""Boxes, simplexes and first designs."""

import numpy as np
import pandas as pd
import pytest

from claude_pymc.acquisition.spaces import Box, Simplex, mesh, space_from_dict, spread
from claude_pymc.errors import CandidateError

BOX = Box(a=(0.0, 1.0), b=(300.0, 600.0))
MIXTURE = Simplex(("Fe", "Co", "Ni"), total=100.0)


@pytest.mark.parametrize("space", [BOX, MIXTURE, Simplex(("u", "v", "w"), rest=True)])
def test_points_lie_inside_and_depend_on_the_seed(space, rng):
    points = space.sample(100, seed=4)
    assert list(points) == list(space.descriptors) and len(points) == 100
    pd.testing.assert_frame_equal(points, space.sample(100, seed=4))
    assert not points.equals(space.sample(100, seed=5))
    near = space.around(points.head(3), 0.1, 50, rng)
    assert len(near) == 150
    for frame in (points, near):
        inside(space, frame)
    first = near.to_numpy()[:50] - points.to_numpy()[0]
    size = 100.0 if space is MIXTURE else 1.0
    assert np.abs(first[:, 0]).max() < 0.35 * size  # a radius of 0.1, then back onto the simplex
    assert space_from_dict(space.to_dict()) == space


def inside(space, frame):
    values = frame.to_numpy()
    if isinstance(space, Box):
        low, high = np.array(list(space.ends.values())).T
        assert ((values >= low) & (values <= high)).all()
    else:
        assert (values >= 0).all()
        total = values.sum(axis=1)
        assert (total <= space.total + 1e-9).all()
        if not space.rest:
            np.testing.assert_allclose(total, space.total)


def test_a_simplex_is_covered_evenly():
    """Uniform on the simplex: the mean of a part of three is a third, its variance 1/18."""
    parts = Simplex(("a", "b", "c")).sample(4096, seed=0).to_numpy()
    np.testing.assert_allclose(parts.mean(axis=0), 1 / 3, atol=2e-3)
    np.testing.assert_allclose(parts.var(axis=0), 1 / 18, rtol=0.02)


def test_a_first_design_covers_and_repeats():
    pool = mesh(a=np.linspace(0, 1, 21), b=np.linspace(0, 10, 21)).to_numpy()
    at = spread(pool, 16, seed=0)
    assert len(set(at)) == 16 and spread(pool, 16, seed=0).tolist() == at.tolist()
    counts, *_ = np.histogram2d(*pool[at].T, bins=[[0, 0.5, 1.01], [0, 5, 10.1]])
    assert (counts >= 2).all()
    taken = np.ones(len(pool), dtype=bool)
    taken[[3, 5]] = False
    assert sorted(spread(pool, 16, seed=0, taken=taken)) == [3, 5]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Box(),
        lambda: Box(x=(1.0, 0.0)),
        lambda: Box(x=(0.0, np.nan)),
        lambda: Box(x=3.0),
        lambda: Box(x=("a", "b")),
        lambda: Simplex(("a",)),
        lambda: Simplex(("a", "a")),
        lambda: Simplex("ab"),
        lambda: Simplex(("a", "b"), total=0.0),
    ],
)
def test_errors(make):
    with pytest.raises(CandidateError):
        make()
