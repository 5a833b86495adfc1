"""What a reviewer found in campaigns, mended."""

import json
import os
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from claude_pymc.acquisition.objectives import Maximize, Minimize, Reach, Within
from claude_pymc.acquisition.spaces import Box, mesh
from claude_pymc.campaign.ledger import Ledger
from claude_pymc.campaign.loop import Campaign
from claude_pymc.errors import CampaignError, ClaudeError, Notice
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.study import Study
from claude_pymc.tables.design import Design
from claude_pymc.tables.table import Table

POOL = mesh(x=np.linspace(0.0, 1.0, 11))
UP = Maximize("exp")


def spec_of(**options):
    ranges = {"sim": (1.0, 4.0)}
    bounds = {"x": (0.0, 1.0)}
    return JointGaussian(Design.from_bounds(bounds, ["sim", "exp"], ranges=ranges, **options))


SPEC = spec_of(corrections={"exp": ["1"]})


def frame(**columns):
    return pd.DataFrame(columns)


@pytest.fixture
def campaign(tmp_path):
    return Campaign.open(tmp_path / "study.db", SPEC, POOL, UP)


def test_simulations_may_lack_a_descriptor_that_they_do_not_use(tmp_path):
    study = Study.named("magnet")
    table = study.table()
    one = Campaign.open(
        tmp_path / "m.db", study.spec(table), study.pool(table), study.objective, rows=table
    )
    assert one.table.counts == table.counts
    assert one.tell(table).accepted == 0
    with pytest.raises(ClaudeError, match="missing one"):  # an experiment needs its temperature
        row = table.rows(np.isfinite(table.y[:, 1])).to_frame().head(1).assign(T=np.nan)
        one.tell(row.assign(m_exp=9.9))


def test_the_first_points_keep_the_constraints_of_a_box(tmp_path):
    limits = [lambda at: at["x"] > 0.9]
    one = Campaign.open(tmp_path / "a.db", SPEC, Box(x=(0.0, 1.0)), UP, constraints=limits)
    assert (one.ask({"exp": 4})["x"] > 0.9).all()


def test_a_corrected_value_stays_corrected(campaign):
    rows = frame(x=[0.1, 0.5], exp=[1.0, 20.0])
    campaign.tell(rows)
    campaign.correct(campaign.observations["id"].iloc[1], 2.0)  # a number of numpy
    assert str(campaign.tell(rows)) == "0 accepted, 2 known before"
    assert sorted(campaign.table.y[:, 1]) == [1.0, 2.0]
    asked = campaign.ask({"exp": 2}).assign(value=[1.5, 1.7])
    campaign.tell(asked)
    campaign.correct(4, None, "the furnace was off")
    assert campaign.tell(asked).accepted == 0
    assert campaign.table.counts["exp"] == 3


def test_wide_rows_told_twice_after_a_withdrawal(tmp_path):
    one = Campaign.open(tmp_path / "a.db", SPEC, POOL.head(3), UP)
    one.withdraw(one.ask({"exp": 3})["proposal"])
    rows = one.ask({"exp": 3})[["x"]].assign(exp=[1.0, 2.0, 3.0])
    assert one.tell(rows).accepted == 3
    assert str(one.tell(rows)) == "0 accepted, 3 known before"
    assert one.proposals["state"].tolist() == ["withdrawn"] * 3 + ["done"] * 3


def test_another_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = Campaign.open("study.db", SPEC, POOL, UP)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert len(one.ask({"exp": 1})) == 1
    assert not os.listdir(tmp_path / "other")


def test_known_values_and_the_creation_are_one(tmp_path):
    path, known = tmp_path / "a.db", POOL.assign(exp=np.where(POOL["x"] > 0.8, 1.0, np.nan))
    with mock.patch.object(Campaign, "_fill", side_effect=KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            Campaign.open(path, SPEC, known, UP)
    assert not Ledger(path).exists()
    assert Campaign.open(path, SPEC, known, UP).table.counts == {"sim": 0, "exp": 2}


def test_two_that_begin_at_once_are_compared(tmp_path):
    path = tmp_path / "a.db"
    with mock.patch.object(Ledger, "exists", return_value=False):
        Campaign.open(path, SPEC, POOL, UP)
        with pytest.raises(CampaignError, match="the objective with which"):
            Campaign.open(path, SPEC, POOL, Minimize("exp"))


def test_rows_that_begin_a_campaign_keep_their_replicates(tmp_path):
    rows = Table(["x"], ["sim", "exp"], [[0.5]] * 3, [[0.6, 0.9], [0.6, 0.9], [0.7, np.nan]])
    one = Campaign.open(tmp_path / "a.db", SPEC, POOL, UP, rows=rows)
    assert one.table.counts == {"sim": 3, "exp": 2}


def test_the_same_rows_give_the_same_fit(campaign):
    rng = np.random.default_rng(0)
    campaign.tell(frame(x=POOL["x"][::2], sim=rng.normal(size=6), exp=rng.normal(size=6)))
    campaign.posterior()
    asked = campaign.ask({"exp": 1})
    again = Campaign.open(campaign.ledger.path).posterior().predict(asked[["x"]])
    assert asked["mean"][0] == pytest.approx(float(again.mean().sel(target="exp")[0]), rel=1e-12)


def test_numbers_of_numpy_as_settings(tmp_path):
    one = Campaign.open(
        tmp_path / "a.db",
        SPEC,
        POOL,
        Reach("exp", np.float32(0.5)),
        wants={"exp": np.int64(2)},
        costs={"exp": np.float32(2.0)},
        seed=np.int64(3),
        draws=np.int64(400),
        replicate=np.bool_(False),
        constraints=[Within("sim", high=np.int64(9))],
    )
    again = Campaign.open(one.ledger.path, wants={"exp": 2}, seed=3)
    assert len(again.ask()) == 2 and again.plan.constraints == [Within("sim", high=9.0)]
    json.loads(json.dumps(again.said), parse_constant=lambda text: pytest.fail(text))


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"draws": 0}, "draws"),
        ({"rules": "papper"}, "'papper'"),
        ({"kind": "zz"}, "'zz'"),
        ({"incumbent": "zz"}, "'zz'"),
        ({"wants": {"exp": -1}}, "-1"),
        ({"wants": {"exp": 0}}, "at least one"),
        ({"constraints": [Within("zz", 0.0)]}, "'zz'"),
        ({"costs": {"exp": 0.0}}, "positive cost"),
    ],
)
def test_settings_are_judged_when_a_campaign_begins(tmp_path, given, word):
    with pytest.raises(ClaudeError, match=word):
        Campaign.open(tmp_path / "a.db", SPEC, POOL, UP, **given)
    assert not (tmp_path / "a.db").exists()


@pytest.mark.parametrize(
    "wants", [{"exps": 1}, {"exp": 1.5}, {"exp": "2"}, {"exp": -1}, {"exp": 0}, [1], "exp", 3]
)
def test_wants_are_judged_before_the_first_design(campaign, wants):
    with pytest.raises(ClaudeError):
        campaign.ask(wants)
    assert not len(campaign.proposals)


@pytest.mark.parametrize("name", ["value", "proposal", "state", "id", "batch"])
def test_descriptors_that_are_called_as_a_column_of_the_ledger(tmp_path, name):
    pool = mesh(**{name: [0.0, 1.0]})
    with pytest.raises(CampaignError, match="names of their own"):
        Campaign.open(tmp_path / "a.db", None, pool, UP, targets=["sim", "exp"])


@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"draws": 500}, {"kind": "observation"}, {"wants": {"exp": 2}},
     {"rules": "paper"}, {"replicate": True}, {"constraints": [Within("sim", 0.0)]}],
)  # fmt: skip
def test_other_settings_do_not_match(campaign, changed):
    with pytest.raises(CampaignError, match="began"):
        Campaign.open(campaign.ledger.path, **changed)


def test_values_that_the_model_can_never_take(tmp_path, campaign):
    logged = spec_of(corrections={"exp": ["1"]}, transforms={"sim": "log", "exp": "log"})
    one = Campaign.open(tmp_path / "log.db", logged, POOL, UP)
    one.tell(frame(x=[0.5], exp=[3.5]))
    for call in (
        lambda: one.tell(frame(x=[0.1], exp=[-3.0])),
        lambda: one.correct(1, 0.0),
        lambda: campaign.tell(frame(x=[np.inf], exp=[1.0])),
    ):
        with pytest.raises(ClaudeError):
            call()
    assert one.table.y.tolist()[0][1] == 3.5 and len(one.ask({"exp": 1})) == 1
    assert len(campaign.table) == 0


def test_a_failed_point_is_not_asked_again_unless_it_is_withdrawn(campaign):
    campaign.tell(frame(x=[0.2, 0.6], exp=[1.0, 2.0], sim=[1.0, 2.0]))
    seen = []
    for _ in range(4):
        asked = campaign.ask({"exp": 1})
        seen.append(asked["x"][0])
        campaign.tell(asked.assign(value=["failed"]))
    assert len(set(seen)) == 4
    campaign.withdraw(asked["proposal"])
    assert campaign.ask({"exp": 1})["x"][0] == seen[-1]


def test_rows_that_were_sorted_without_their_numbers(campaign):
    asked = campaign.ask({"exp": 2, "sim": 1}).assign(value=[1.0, 2.0, 3.0])
    for column in ("x", "target"):
        other = asked.assign(**{column: np.roll(asked[column], 1)})
        with pytest.raises(CampaignError, match="as it was asked"):
            campaign.tell(other)
    rounded = asked.assign(x=asked["x"].round(6))
    assert campaign.tell(rounded).accepted == 3


@pytest.mark.parametrize("value", [10**400, np.bool_(True)])
def test_values_that_are_no_numbers(campaign, value):
    rows = pd.DataFrame({"x": [0.1], "exp": pd.Series([value], dtype=object)})
    with pytest.raises(CampaignError, match="a number"):
        campaign.tell(rows)


@pytest.mark.parametrize("number", [1.7, np.inf, "1.5"])
def test_numbers_of_proposals_are_whole(campaign, number):
    campaign.ask({"exp": 2})
    with pytest.raises(CampaignError, match="numbers of proposals"):
        campaign.tell(frame(proposal=[number], value=[1.0]))
    assert campaign.tell(frame(proposal=["1.0"], value=[1.0])).accepted == 1


def test_values_that_look_mistyped_are_doubted(campaign):
    campaign.tell(frame(x=POOL["x"], sim=np.sin(POOL["x"]), exp=np.cos(POOL["x"])).iloc[::2])
    asked = campaign.ask({"exp": 1})
    with pytest.warns(Notice, match=r"exp = 22.1 where .* was predicted: if it was mistyped"):
        campaign.tell(asked.assign(value=[22.1]))
    with pytest.warns(Notice, match="candidates have 0 to 1"):
        campaign.tell(frame(x=[5.0], exp=[0.5]))


def test_a_refusal_names_the_observation_to_correct(campaign):
    asked = campaign.ask({"exp": 2}).assign(value=[1.0, 2.0])
    campaign.tell(asked)
    with pytest.raises(CampaignError, match=r"correct\(2, value\)"):
        campaign.tell(asked.assign(value=[1.0, 2.5]))


@pytest.mark.parametrize("aim", [[UP], (UP, Minimize("sim")), "maximize", 3])
def test_a_campaign_has_one_aim(tmp_path, campaign, aim):
    with pytest.raises(CampaignError, match="has one aim"):
        Campaign.open(tmp_path / "b.db", SPEC, POOL, aim)
    with pytest.raises(CampaignError, match="the objective with which"):
        Campaign.open(campaign.ledger.path, objective=aim)


@pytest.mark.parametrize("number", ["a", 1.0, None, [1, "b"]])
def test_numbers_of_entries_are_numbers(campaign, number):
    for call in (campaign.withdraw, campaign.start, lambda n: campaign.correct(n, 1.0)):
        with pytest.raises(CampaignError, match="numbers of proposals or observations"):
            call(number)


def test_pictures_and_files_as_methods(campaign, tmp_path):
    assert "nothing was measured" in campaign.plot().axes[0].get_title(loc="left")
    assert "rows.csv" in campaign.export(tmp_path / "out")
