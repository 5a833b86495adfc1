"""Shipped data: what the README says, and what the script writes again."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import claude_pymc as cp

DATA = Path(__file__).parents[1] / "data"


def script():
    spec = importlib.util.spec_from_file_location("make_examples", DATA / "make_examples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_elements_have_the_rows_that_the_readme_counts():
    frame = cp.load_dataset("elements")
    assert len(frame) == 71
    assert frame["volume_exp"].notna().sum() == 58
    assert frame["volume_sim"].notna().all()
    filled = frame.loc[frame["electronegativity"].isna(), "electronegativity_filled"]
    assert np.allclose(filled, 2.6)


@pytest.mark.parametrize("name", ["toy_pair", "sine_pair"])
def test_examples_hold_the_counts_of_the_readme_and_share_no_row(name):
    frame = cp.load_dataset(name)
    both = frame["sim"].notna() & frame["exp"].notna()
    assert (len(frame), both.sum()) == ({"toy_pair": 15, "sine_pair": 75}[name], 0)


def test_readme_names_every_file():
    text = (DATA / "README.md").read_text()
    for path in DATA.glob("*.csv"):
        assert f"`{path.name}`" in text


def test_unknown_data_set_names_the_known_ones():
    with pytest.raises(cp.StudyError, match="elements"):
        cp.load_dataset("element")


def test_script_writes_the_two_examples_again(tmp_path):
    script().write(tmp_path)
    for name in ("toy_pair.csv", "sine_pair.csv"):
        assert (tmp_path / name).read_text() == (DATA / name).read_text()


def test_maximum_of_the_dear_sine_surface_is_the_papers():
    module = script()
    surface = module.sine(*module.mesh(), module.SINE_E)
    assert np.unravel_index(surface.argmax(), surface.shape) == (17, 19)
    assert round(surface.max(), 4) == 2.2125
