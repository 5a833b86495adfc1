"""Files of every format are read; those of a newer one are refused, and left alone."""

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from make_formats import AT, HERE

import claude_pymc as cp
from claude_pymc.campaign import ledger
from claude_pymc.joint import spec as specs
from claude_pymc.tables import statistics

FILES = sorted(path for path in HERE.iterdir() if not path.name.endswith(".holds.json"))
NEWER = "newer version of claude_pymc"


def of(kind: str) -> list[Path]:
    """Files of one kind, of all formats."""
    return [path for path in FILES if path.name.startswith(f"{kind}_")]


def holds(path: Path) -> dict:
    """What was written into a file."""
    return json.loads((HERE / f"{path.name}.holds.json").read_text(encoding="utf-8"))


def test_there_is_a_file_of_every_format():
    last = {"spec": specs.FORMAT, "draws": specs.FORMAT, "stats": statistics.FORMAT}
    last["campaign"] = ledger.FORMAT
    for kind, newest in last.items():
        found = {int(path.stem.split("_")[1]) for path in of(kind)}
        assert found == set(range(1, newest + 1)), f"run tests/make_formats.py: {kind}"


@pytest.mark.parametrize("path", of("spec"), ids=lambda p: p.name)
def test_specifications(path):
    spec = cp.JointGaussian.from_json(path.read_text(encoding="utf-8"))
    assert list(spec.design.terms) == holds(path)["terms"]
    assert json.loads(spec.to_json())["format"] == specs.FORMAT


@pytest.mark.parametrize("path", of("stats"), ids=lambda p: p.name)
def test_statistics(path):
    stats = cp.PatternStats.load(path)
    assert stats.counts.tolist() == holds(path)["counts"]
    newest = cp.PatternStats.load(of("stats")[-1])
    assert (stats + newest).counts.tolist() == [2 * n for n in holds(path)["counts"]]
    spec = cp.JointGaussian(stats.design)
    first, second = (cp.evidence(spec, s, draws=500, seed=0) for s in (stats, newest))
    assert first.log_evidence == pytest.approx(second.log_evidence, abs=1e-6)


@pytest.mark.parametrize("path", of("draws"), ids=lambda p: p.name)
def test_draws(path):
    post, told = cp.JointPosterior.load(path), holds(path)
    np.testing.assert_allclose(post.predict(AT).mean(), told["mean"], rtol=1e-10)
    assert float(post.linkage.sel(target="exp", target_bis="sim").mean()) == pytest.approx(
        told["linkage"], rel=1e-12
    )


@pytest.mark.parametrize("path", of("campaign"), ids=lambda p: p.name)
def test_campaigns(path, tmp_path):
    copy = shutil.copy(path, tmp_path)
    camp = cp.Campaign.open(copy)
    assert camp.observations["value"].tolist() == [1.5]
    assert len(camp.ask({"exp": 1})) == 1


def test_newer_ones_are_refused(tmp_path):
    spec = json.loads(of("spec")[-1].read_text(encoding="utf-8"))
    with pytest.raises(cp.SpecError, match=NEWER):
        cp.JointGaussian.from_json(json.dumps(spec | {"format": specs.FORMAT + 1}))

    with np.load(of("stats")[-1]) as file:
        arrays = dict(file)
    path = tmp_path / "stats.npz"
    np.savez_compressed(path, **arrays | {"format": np.array(statistics.FORMAT + 1)})
    with pytest.raises(cp.StatisticsError, match=NEWER):
        cp.PatternStats.load(path)

    copy = tmp_path / "search.db"
    shutil.copy(of("campaign")[-1], copy)
    with sqlite3.connect(copy) as connection:
        connection.execute(f"PRAGMA user_version = {ledger.FORMAT + 1}")
    connection.close()
    before = copy.read_bytes()
    with pytest.raises(cp.CampaignError, match="newer version"):
        cp.Campaign.open(copy)
    assert copy.read_bytes() == before
