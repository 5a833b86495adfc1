"""What a campaign refuses: nothing is written then."""

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from claude_pymc.acquisition.objectives import Maximize, Minimize
from claude_pymc.acquisition.spaces import Box, Simplex, mesh
from claude_pymc.campaign.ledger import Ledger
from claude_pymc.campaign.loop import Campaign
from claude_pymc.errors import CampaignError, ClaudeError
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.design import Design

POOL = mesh(x=np.linspace(0.0, 1.0, 11))
UP = Maximize("exp")


def spec_of(**options):
    ranges = {"sim": (-1.5, 1.5)}
    return JointGaussian(
        Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"], ranges=ranges, **options)
    )


SPEC = spec_of()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.db"


@pytest.fixture
def campaign(path):
    one = Campaign.open(path, SPEC, POOL, UP)
    one.ask({"exp": 2, "sim": 2})
    return one


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        ({"proposal": [1], "value": ["3 eV"]}, "'3 eV'"),
        ({"proposal": [1], "value": [np.inf]}, "inf"),
        ({"proposal": [1], "value": [True]}, "True"),
        ({"proposal": [99], "value": [1.0]}, "99"),
        ({"proposal": ["a"], "value": [1.0]}, "-1"),
        ({"proposal": [1, 1], "value": [1.0, 2.0]}, "twice"),
        ({"proposal": [1, 99], "value": [1.0, 2.0]}, "99"),
        ({"x": [0.5], "expp": [1.0]}, "no column of a known target"),
        ({"x": [0.5], "sim": [1.0], "expp": [2.0]}, "did you mean 'exp'"),
        ({"z": [0.5], "exp": [1.0]}, "'x' is missing"),
        ({"x": [np.nan], "exp": [1.0]}, "a missing one in row 0"),
        ({"x": [0.1, 0.5], "exp": [1.0, "a"]}, "'a'"),
        ({"x": [0.512], "exp": [np.nan]}, "nothing that waits"),
    ],
)
def test_what_cannot_be_taken_up(campaign, path, frame, word):
    before = path.read_bytes()
    with pytest.raises(ClaudeError, match=word):
        campaign.tell(pd.DataFrame(frame))
    assert path.read_bytes() == before


@pytest.mark.parametrize("frame", [3.0, [1.0], {"exp": 1.0}, None])
def test_results_without_columns(campaign, frame):
    with pytest.raises(CampaignError, match="DataFrame or a Table"):
        campaign.tell(frame)


def test_words_of_a_csv(campaign):
    told = campaign.tell(
        pd.DataFrame({"proposal": ["1", "2", "3"], "value": [" 1,5 ", "", "failed"]})
    )
    assert (told.accepted, told.failed) == (1, 1)
    assert campaign.observations["value"].iloc[0] == 1.5


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"spec": spec_of(corrections={"exp": ["1"]})}, "the specification"),
        ({"objective": Minimize("exp")}, "the objective"),
        ({"candidates": POOL.head(5)}, "the candidates"),
        ({"candidates": Box(x=(0.0, 1.0))}, "the candidates"),
        ({"targets": ["exp", "sim"]}, "the targets"),
    ],
)
def test_what_does_not_match_the_ledger(campaign, path, given, word):
    before = path.read_bytes()
    with pytest.raises(CampaignError, match=f"{word} with which"):
        Campaign.open(path, **given)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "no such campaign yet"),
        ({"candidates": POOL}, "names of the targets"),
        ({"candidates": POOL, "targets": ["sim", "exp"]}, "an objective"),
        ({"candidates": POOL, "targets": "exp", "objective": UP}, "names of the targets"),
        ({"candidates": POOL, "spec": SPEC, "objective": Maximize("expp")}, "an objective"),
        ({"candidates": POOL, "spec": SPEC, "objective": UP, "targets": ["exp"]}, "leave targets"),
        ({"candidates": POOL, "spec": SPEC, "objective": UP, "wants": {"a": 1}}, "'a'"),
        ({"candidates": POOL, "spec": SPEC, "objective": UP, "costs": {"a": 1.0}}, "'a'"),
        ({"candidates": Simplex(("a", "b")), "spec": SPEC, "objective": UP}, "descriptors"),
    ],
)
def test_what_a_new_campaign_needs(path, given, word):
    with pytest.raises(ClaudeError, match=word):
        Campaign.open(path, **given)
    assert not path.exists()


def test_a_file_of_something_else(tmp_path):
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("some notes\n" * 100)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE a (b)")
    for path, word in ((text, "not a database"), (other, "of something else")):
        before = path.read_bytes()
        with pytest.raises(CampaignError, match=word):
            Campaign.open(path, SPEC, POOL, UP)
        assert path.read_bytes() == before


def test_a_creation_that_was_cut_short(path):
    path.touch()
    assert len(Campaign.open(path, SPEC, POOL, UP).ask({"exp": 1})) == 1


@pytest.mark.parametrize(
    ("where", "word"),
    [
        (Path("nowhere") / "study.db", "no such folder"),
        (Path(".."), "may not be written to, or is a folder"),
        (Path("/proc/study.db"), "may not be written to"),
    ],
)
def test_where_nothing_can_be_written(tmp_path, monkeypatch, where, word):
    if where.is_absolute() and not where.parent.is_dir():
        pytest.skip("no file system here that refuses files even to an administrator")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CampaignError, match=word):
        Campaign.open(where, SPEC, POOL, UP)


def test_a_full_disk(campaign, path, monkeypatch):
    """The file may not grow: what is told is refused as a whole, and can be told again."""
    rows = pd.DataFrame({"x": np.linspace(0.01, 0.99, 2000), "exp": 1.0})
    connect = sqlite3.connect

    def full(*args, **kwargs):
        connection = connect(*args, **kwargs)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", full)
        with pytest.raises(CampaignError, match="the disk is full"):
            campaign.tell(rows)
    assert path.read_bytes() == before
    assert campaign.tell(rows).accepted == 2000


def test_a_ledger_that_is_locked(campaign, path, monkeypatch):
    monkeypatch.setattr("claude_pymc.campaign.ledger.WAIT", 0.1)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CampaignError, match="another process"):
            campaign.tell(pd.DataFrame({"proposal": [1], "value": [1.0]}))
        assert len(Ledger(path).read().proposals) == 4  # it can be read meanwhile


def test_one_writes_at_a_time_from_what_it_has_read(campaign, monkeypatch):
    monkeypatch.setattr("claude_pymc.campaign.ledger.WAIT", 0.1)
    with campaign.ledger.writing():
        with pytest.raises(CampaignError, match="another process"):
            with campaign.ledger.writing():
                pass


def test_others_ask_while_proposals_are_made(campaign, monkeypatch):
    """What was proposed meanwhile is seen: the batch is made again, with it pending."""
    other = Campaign.open(campaign.ledger.path)
    make, calls = Campaign._proposals, []

    def slow(self, *args):
        found = make(self, *args)
        calls.append(self)
        if len(calls) == 1:
            other.ask({"exp": 3})
        return found

    monkeypatch.setattr(Campaign, "_proposals", slow)
    mine = campaign.ask({"exp": 3})
    assert len(calls) == 3
    kept = campaign.proposals
    own = kept[kept["target"] == "exp"]
    assert own["x"].is_unique and len(own) == 8
    assert mine["proposal"].tolist() == [8, 9, 10]
