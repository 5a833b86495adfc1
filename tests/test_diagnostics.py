"""The table of checks says failures first."""

import numpy as np
import pytest
import xarray as xr
from fakes import make_idata, make_spec

import claude_pymc as cp
from claude_pymc.errors import SamplingError
from claude_pymc.joint.convergence import convergence
from claude_pymc.review.diagnostics import diagnose


@pytest.fixture
def idata():
    return make_idata(make_spec(2), draws=500)


def test_a_good_posterior(idata):
    found = diagnose(idata)
    lines = str(found).split("\n")
    assert found.ok
    assert found.checks[:5] == convergence(idata)
    assert {check.about for check in found.checks[5:]} == {"prior", "linkage"}
    assert lines[0].startswith("The draws passed their checks; whether the model fits")
    assert [line[:7] for line in lines[1:]] == ["passed "] * 9 + ["note   "] * 3
    assert "rows with the primary and a cheaper target: 4 of 15" in lines[-3]
    assert "target_accept = 0.95" in lines[-2]
    assert "give the rows to check the model, too" in lines[-1]


def test_a_failure_is_said_first(idata):
    idata["sample_stats"].dataset["diverging"].to_numpy()[0, 0] = True
    found = diagnose(idata)
    lines = str(found).split("\n")
    assert not found.ok
    assert lines[0].startswith("DO NOT TRUST THESE NUMBERS")
    assert lines[1].startswith("FAILED  divergences: 1 of 2000 draws (asked: none); ")
    assert all(line.startswith("passed") for line in lines[2:6])
    assert not found.sampled
    assert [check.name for check in found.failed] == ["divergences"]


def test_a_model_in_doubt_is_said_of_sound_draws(idata):
    idata["posterior"].dataset["sigma"].to_numpy()[:] *= 1e5
    found = diagnose(idata)
    assert found.sampled and not found.ok
    assert found.verdict.startswith("The draws passed their checks; of the 4 others 1 failed")
    assert str(found).split("\n")[1].startswith("FAILED  prior-data conflict: noise of ")
    assert found.summary().split("\n")[2] == "passed  draws 5 of 5, prior 0 of 1, linkage 3 of 3"


def test_no_shared_rows_is_a_note_and_not_a_failure(idata):
    idata.attrs["shared_rows"] = 0
    found = diagnose(idata)
    assert found.ok
    assert "known only through the terms outside the correction set" in str(found)


def test_draws_without_attributes_have_no_notes(idata):
    idata.attrs = {}
    found = diagnose(idata)
    assert found.notes == ()
    assert all(check.passed is None for check in found.checks[5:])


def test_to_frame(idata):
    frame = diagnose(idata).to_frame()
    assert list(frame) == ["about", "name", "value", "threshold", "passed", "advice"]
    assert frame["passed"].tolist() == [True] * 8 + [None, True]


def test_no_posterior():
    with pytest.raises(SamplingError, match="group 'posterior'"):
        diagnose(xr.DataTree())


def test_places_of_a_simulation_that_lacks_a_descriptor_are_not_predicted():
    """The magnet's simulation knows no temperature: its rows lack what the experiment needs."""
    study = cp.Study.named("magnet")
    table = study.table()
    spec = study.spec(table)
    stats = cp.PatternStats.from_table(table, spec.design)
    idata = cp.sample(spec, stats, draws=250, seed=0)
    measured = table.rows(np.isfinite(table.y[:, 1]))
    found, asked = (cp.diagnose(idata, table, candidates=c) for c in (None, measured))
    assert found.shares is not None and len(found.shares)
    np.testing.assert_allclose(found.shares, asked.shares)
