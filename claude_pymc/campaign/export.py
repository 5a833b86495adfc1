"""A campaign for people: a picture of its progress, and everything as files."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from claude_pymc.campaign.ledger import CURRENT, FAILED
from claude_pymc.errors import CampaignError
from claude_pymc.review.style import BLUE, GREY, ORANGE, STYLE, axis_label


def best_so_far(campaign: Any) -> pd.DataFrame:
    """Measured values of the objective's target in the order in which they were told.

    A corrected value keeps its place. Columns id, label, value, proposed, utility, best (the best
    utility until then), cheaper (values of other targets until then).
    """
    objective = campaign.plan.objective
    told = campaign.ledger.read().current.assign(proposed=lambda f: f["proposal"].notna())
    own = told["target"] == objective.target
    found = told.loc[own, ["id", "label", "value", "proposed"]].reset_index(drop=True)
    found["utility"] = objective.utility(found["value"].to_numpy(float))
    found["best"] = found["utility"].cummax()
    found["cheaper"] = (~own).cumsum()[own].to_numpy()
    return found


def plot_progress(campaign: Any) -> Figure:
    """Draw each measured value of the objective's target, and the best so far.

    Parameters
    ----------
    campaign : Campaign
    """
    objective, units = campaign.plan.objective, campaign.said["units"]
    found = best_so_far(campaign)
    failed = campaign.observations
    failed = failed[(failed["state"] == FAILED) & (failed["target"] == objective.target)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(f"measurements of {objective.target}")
        axes.set_ylabel(axis_label(objective.target, units))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not len(found):
            axes.set_title(f"{objective.describe()}: nothing was measured yet")
            return figure
        number = np.arange(1, len(found) + 1)
        at_best = np.maximum.accumulate(np.where(found["utility"] == found["best"], number, 1)) - 1
        best = found["value"].to_numpy()[at_best]
        asked = found["proposed"].to_numpy(bool)
        for mask, fill, label in ((~asked, "white", "known"), (asked, BLUE, "proposed, measured")):
            if mask.any():
                points = number[mask], found["value"][mask]
                look: dict[str, Any] = {"color": BLUE, "markerfacecolor": fill, "markersize": 5}
                axes.plot(*points, "o", label=label, **look)
        axes.step(number, best, where="post", color=ORANGE, linewidth=2, label="best so far")
        value = getattr(objective, "value", None)
        if value is not None:
            axes.axhline(value, color=GREY, linestyle="--", linewidth=1, label="wanted")
        for row in failed.itertuples():
            before = int((found["id"] < row.id).sum())
            axes.axvline(before + 0.5, color=GREY, linestyle=":", linewidth=1)
        others = int((campaign.observations["state"] == CURRENT).sum()) - len(found)
        words = f"{best[-1]:.4g} after {len(found)} values"
        words += f", and {others} of cheaper targets" if others else ""
        words += f"; {len(failed)} failed (dotted)" if len(failed) else ""
        axes.set_title(f"{objective.describe()}\n{words}")
        axes.legend(loc="best")
    return figure


def export(campaign: Any, folder: str | Path) -> list[str]:
    """Write rows, proposals, history, models, candidates, settings and the picture into a folder.

    Raises
    ------
    CampaignError
        If the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise CampaignError(
            "a folder that does not exist yet",
            f"{folder.name!r}",
            "an earlier export",
            "choose another name; nothing was written",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        work.chmod(0o755)
        state = campaign.ledger.read()
        tables = {
            "rows": campaign.table.to_frame(),
            "observations": campaign.observations,
            "proposals": campaign.proposals,
            "models": state.models,
            "history": state.events,
        }
        if isinstance(campaign.candidates, pd.DataFrame):
            tables["candidates"] = campaign.candidates
        for name, table in tables.items():
            table.to_csv(work / f"{name}.csv", index=False)
        (work / "campaign.json").write_text(json.dumps(campaign.said, indent=2), encoding="utf-8")
        plot_progress(campaign).savefig(work / "progress.png")
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return sorted(path.name for path in folder.iterdir())
