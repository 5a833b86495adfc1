"""A campaign from its first question to its last answer."""

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest

from claude_pymc.acquisition.objectives import Maximize, Minimize, Reach, Within
from claude_pymc.acquisition.spaces import Box, mesh
from claude_pymc.campaign.export import best_so_far, export, plot_progress
from claude_pymc.campaign.ledger import FORMAT
from claude_pymc.campaign.loop import Campaign
from claude_pymc.errors import CampaignError, CandidateError, Notice
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.basis import Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.table import Table

POOL = mesh(x=np.linspace(0.0, 1.0, 41))
UP = Maximize("exp")


def truth(x):
    """Simulation and experiment."""
    sim = np.sin(6.0 * np.asarray(x, dtype=float))
    return {"sim": sim, "exp": 0.8 * sim + 0.5}


@pytest.fixture(scope="module")
def spec():
    design = Design.from_bounds(
        {"x": (0.0, 1.0)},
        ["sim", "exp"],
        Polynomial(degree=4),
        {"exp": ["1"]},
        ranges={"sim": (-1.5, 1.5)},
        units={"exp": "eV"},
    )
    return JointGaussian(design)


@pytest.fixture
def campaign(spec, tmp_path):
    return Campaign.open(tmp_path / "study.db", spec, POOL, UP, wants={"exp": 1, "sim": 3})


def answered(asked, noise=0.0):
    """What was asked, with values."""
    values = [truth(x)[t] + noise for x, t in zip(asked["x"], asked["target"], strict=True)]
    return asked.assign(value=values)


def test_a_search_finds_the_maximum(campaign):
    for turn in range(5):
        asked = campaign.ask()
        assert asked["proposal"].tolist() == [4 * turn + k for k in (1, 2, 3, 4)]
        assert asked["target"].tolist() == ["exp"] + ["sim"] * 3
        assert asked["value"].isna().all()
        assert campaign.tell(answered(asked)).accepted == 4
    best = truth(POOL["x"])["exp"].max()
    assert best_so_far(campaign)["best"].iloc[-1] == pytest.approx(best, abs=0.01)
    assert campaign.table.counts == {"sim": 15, "exp": 5}
    assert campaign.table.units == {"exp": "eV"}
    assert campaign.proposals["state"].eq("done").all()
    # The first batch covers the range, the others follow the posterior.
    assert campaign.proposals.groupby("batch")["rule"].first().tolist()[:2] == ["design", "log_ei"]


def test_the_same_campaign_asks_the_same(spec, tmp_path):
    asked = []
    for name in ("a.db", "b.db"):
        one = Campaign.open(tmp_path / name, spec, POOL, UP, seed=7)
        one.tell(answered(one.ask({"exp": 3, "sim": 5})))
        asked.append(one.ask({"exp": 2, "sim": 2}))
    pd.testing.assert_frame_equal(*asked)


def test_nothing_is_proposed_twice_while_it_is_open(campaign):
    campaign.tell(answered(campaign.ask({"exp": 2, "sim": 4})))
    first, second = campaign.ask({"exp": 3}), campaign.ask({"exp": 3})
    assert not set(first["x"]) & set(second["x"])
    assert not second["proposal"].isin(first["proposal"]).any()


def test_partial_results(campaign):
    asked = campaign.ask()
    part = answered(asked)
    part["value"] = part["value"].astype(object).where(part["target"] == "sim", None)
    assert str(campaign.tell(part)) == "3 accepted"
    assert campaign.proposals["state"].tolist() == ["open"] + ["done"] * 3
    # All at once later: what was told before is known.
    assert str(campaign.tell(answered(asked))) == "1 accepted, 3 known before"


def test_a_failed_experiment_is_kept(campaign):
    asked = answered(campaign.ask())
    asked.loc[0, "value"] = np.nan
    with pytest.warns(Notice, match="1 results are kept as failed"):
        told = campaign.tell(asked)
    assert (told.accepted, told.failed) == (3, 1)
    failed = campaign.observations.iloc[0]
    assert failed["state"] == "failed" and np.isnan(failed["value"])
    assert campaign.proposals["state"].iloc[0] == "failed"
    assert str(campaign.tell(asked)) == "0 accepted, 4 known before"
    # It may be tried again, and succeed.
    asked.loc[0, "value"] = 1.0
    assert str(campaign.tell(asked)) == "1 accepted, 3 known before"
    assert campaign.proposals["state"].iloc[0] == "done"


def test_the_same_proposal_told_twice(campaign):
    asked = answered(campaign.ask())
    campaign.tell(asked)
    before = campaign.observations
    assert str(campaign.tell(asked)) == "0 accepted, 4 known before"
    asked.loc[2, "value"] += 0.1
    for frame in (asked, asked[["x"]].assign(sim=asked["value"])[2:3]):
        with pytest.raises(CampaignError, match="told before"):
            campaign.tell(frame)
    pd.testing.assert_frame_equal(campaign.observations, before)


def test_values_from_elsewhere(campaign):
    rows = pd.DataFrame({"x": [0.11, 0.5], "sim": [1.0, np.nan], "exp": [np.nan, 2.0]})
    assert str(campaign.tell(rows)) == "2 accepted, 2 of them never proposed"
    assert campaign.observations["proposal"].isna().all()
    assert str(campaign.tell(rows)) == "0 accepted, 2 known before"
    assert campaign.tell(rows, replicate=True).accepted == 2
    assert campaign.table.counts == {"sim": 2, "exp": 2} and len(campaign.table) == 4
    x = campaign.ask({"exp": 3})["x"]
    assert 0.5 not in x.round(9).tolist()


def test_wide_rows_answer_proposals(campaign):
    asked = campaign.ask()
    points = asked.drop_duplicates("x")[["x"]]
    wide = points.assign(**truth(points["x"]))
    told = campaign.tell(Table.from_frame(wide, ["x"], ["sim", "exp"]))
    assert campaign.proposals["state"].eq("done").all()
    assert told.accepted - told.external == len(asked)


def test_a_wide_row_without_a_value_failed(campaign):
    asked = campaign.ask()
    at = asked["x"][0]
    assert campaign.tell(pd.DataFrame({"x": [at], "exp": [np.nan]})).failed == 1
    with pytest.raises(CampaignError, match="nothing that waits"):
        campaign.tell(pd.DataFrame({"x": [0.987], "exp": [np.nan]}))


def test_corrections_keep_the_old_value(campaign):
    campaign.tell(answered(campaign.ask()))
    old = campaign.observations.iloc[1]
    new = campaign.correct(int(old["id"]), old["value"] + 1.0, "a slipped digit")
    seen = campaign.observations.set_index("id")
    assert seen.loc[old["id"], "state"] == "replaced"
    assert seen.loc[new, "value"] == old["value"] + 1.0 and seen.loc[new, "replaces"] == old["id"]
    assert len(campaign.table) == 4 or campaign.table.counts["sim"] == 3
    event = json.loads(campaign.history()["detail"].iloc[-1])
    assert event["reason"] == "a slipped digit" and event["old"] == old["value"]
    with pytest.raises(CampaignError, match="replaced before"):
        campaign.correct(int(old["id"]), 3.0)
    failed = campaign.correct(new, None)
    assert campaign.observations.set_index("id").loc[failed, "state"] == "failed"
    assert campaign.table.counts["sim"] == 2


def test_states_of_proposals(campaign):
    asked = campaign.ask()
    numbers = asked["proposal"].tolist()
    campaign.start(numbers[0])
    campaign.start(numbers[0])
    campaign.withdraw(numbers[1:3])
    assert campaign.proposals["state"].tolist() == ["running", "withdrawn", "withdrawn", "open"]
    with pytest.raises(CampaignError, match="which is withdrawn"):
        campaign.start(numbers[:3])
    with pytest.raises(CampaignError, match="which is unknown"):
        campaign.withdraw(99)
    # A result that comes all the same is taken up.
    campaign.tell(answered(asked))
    assert campaign.proposals["state"].eq("done").all()


def test_reopened_by_its_path(spec, campaign):
    campaign.tell(answered(campaign.ask()))
    again = Campaign.open(campaign.ledger.path)
    pd.testing.assert_frame_equal(again.observations, campaign.observations)
    assert again.plan == campaign.plan
    pd.testing.assert_frame_equal(again.candidates, POOL)
    assert Campaign.open(campaign.ledger.path, spec, POOL, UP).plan.spec == spec
    asked, kept = again.ask(), campaign.proposals
    kept = kept[kept["batch"] == 2]
    assert kept["id"].tolist() == asked["proposal"].tolist()
    assert kept["x"].tolist() == asked["x"].tolist()


@pytest.mark.parametrize("aim", [Minimize("exp"), Reach("exp", 0.7)])
def test_other_objectives(spec, tmp_path, aim):
    one = Campaign.open(tmp_path / "a.db", spec, POOL, aim)
    for _ in range(3):
        one.tell(answered(one.ask({"exp": 1, "sim": 3})))
    assert Campaign.open(one.ledger.path).plan.objective == aim
    figure = plot_progress(one)
    assert aim.describe() in figure.axes[0].get_title(loc="left")


def test_in_a_box_with_constraints(spec, tmp_path):
    limits = [Within("sim", high=0.9), lambda frame: frame["x"] > 0.3]
    options = {"constraints": limits}
    one = Campaign.open(tmp_path / "a.db", spec, Box(x=(0.0, 1.0)), UP, **options)
    one.tell(answered(one.ask({"exp": 2, "sim": 4})))
    assert (one.ask({"exp": 2})["x"] > 0.3).all()
    again = Campaign.open(one.ledger.path)
    assert again.plan.constraints == [limits[0]]
    with pytest.raises(CampaignError, match="functions are not kept"):
        again.ask()


def test_candidates_that_break_a_constraint_are_not_kept(spec, tmp_path):
    pool = POOL.assign(exp=np.where(POOL["x"] == 0.5, 2.0, np.nan), label="p")
    one = Campaign.open(tmp_path / "a.db", spec, pool, UP, constraints=[lambda f: f["x"] > 0.3])
    assert (one.candidates["x"] > 0.3).all() and "exp" not in one.candidates
    assert one.table.counts == {"sim": 0, "exp": 1} and one.table.labels == ("p",)
    Campaign.open(one.ledger.path, spec, pool, constraints=[lambda f: f["x"] > 0.3])


def test_the_automatic_default(tmp_path):
    one = Campaign.open(tmp_path / "a.db", None, POOL, UP, targets=["sim", "exp"])
    one.tell(answered(one.ask({"exp": 4, "sim": 9})))
    asked = one.ask({"exp": 1})
    assert asked["rule"].tolist() == ["log_ei"]
    assert one.ledger.read().models["passed"].tolist() == [1, 1]


def test_a_budget(spec, tmp_path):
    costs = {"exp": 10.0, "sim": 1.0}
    one = Campaign.open(tmp_path / "a.db", spec, POOL, UP, costs=costs)
    with pytest.raises(CampaignError, match="nothing yet to weigh"):
        one.ask(budget=20.0)
    one.tell(answered(one.ask({"exp": 2, "sim": 4})))
    asked = one.ask(budget=20.0)
    spent = sum(costs[t] for t in asked["target"])
    assert 10 < spent <= 20 and "value" in asked.attrs


def test_nothing_left(spec, tmp_path):
    one = Campaign.open(tmp_path / "a.db", spec, POOL.head(3), UP)
    one.ask({"exp": 3})
    with pytest.raises(CandidateError, match="nothing left"):
        one.ask({"exp": 1})
    assert len(one.proposals) == 3


def test_export(campaign, tmp_path):
    campaign.tell(answered(campaign.ask()))
    names = export(campaign, tmp_path / "out")
    assert {"rows.csv", "proposals.csv", "progress.png", "campaign.json"} <= set(names)
    rows = pd.read_csv(tmp_path / "out" / "rows.csv")
    assert rows["exp"].notna().sum() == 1
    with pytest.raises(CampaignError, match="does not exist yet"):
        export(campaign, tmp_path / "out")


def test_a_ledger_of_a_newer_version(campaign):
    path = campaign.ledger.path
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    before = path.read_bytes()
    for call in (lambda: Campaign.open(path), campaign.ask, lambda: campaign.tell(POOL)):
        with pytest.raises(CampaignError, match="newer version"):
            call()
    assert path.read_bytes() == before
