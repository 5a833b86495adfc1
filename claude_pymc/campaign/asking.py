"""A batch is made from what is known, and written into a ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.campaign.entries import plain_point
from claude_pymc.campaign.ledger import OPEN, Writer, now
from claude_pymc.campaign.next_batch import Plan, Points, first_design, propose_by, ready
from claude_pymc.errors import CampaignError
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.tables.table import Table

Fit = Callable[[], tuple[JointPosterior, tuple[str, ...]]]
NUMBERS = ("mean", "std", "lower90", "upper90", "score")
SAID = ("method", "k_hat", "importance_ess", "log_evidence", "versions")


@dataclass(frozen=True, eq=False)
class Batch:
    """Proposals, and the fit behind them.

    Parameters
    ----------
    found : DataFrame
        As :func:`claude_pymc.propose` returns it.
    rows : int
    data_hash : str
        Of the rows.
    said : dict
        Method, checks and versions of the fit, and the incumbent.
    failed : tuple of str
        Checks that the posterior failed.
    """

    found: pd.DataFrame
    rows: int
    data_hash: str
    said: dict[str, Any]
    failed: tuple[str, ...] = ()


def make(
    plan: Plan,
    candidates: Any,
    table: Table,
    points: Points,
    seed: int,
    wants: Mapping[str, int],
    budget: float | None,
    fit: Fit,
    stage: Callable[[str], None],
) -> Batch:
    """Propose by the posterior, or cover the candidates where there is nothing to learn from."""
    if not ready(plan, table):
        if budget is not None:
            raise CampaignError(
                "wants, as there is nothing yet to weigh a budget by",
                f"budget={budget!r} and {len(table)} rows",
                "a campaign begins with points that cover the candidates",
                "say how many: ask({'exp': 3, 'sim': 10})",
            )
        found = first_design(plan, candidates, table, points, seed, wants)
        return Batch(found, len(table), table.digest, {"method": "design"})
    stage("posterior")
    post, failed = fit()
    stage("proposals")
    found = propose_by(plan, post, candidates, table, points, seed, wants, budget)
    said = {name: post.idata.attrs[name] for name in SAID if name in post.idata.attrs}
    said |= {name: found.attrs[name] for name in ("incumbent", "incumbent_from")}
    return Batch(found, len(table), table.digest, said, failed)


def keep(
    writer: Writer, batch: int, seed: int, made: Batch, descriptors: Sequence[str]
) -> list[int]:
    """Write a batch into the ledger; the numbers of its proposals."""
    said = {**made.said, "failed": list(made.failed)}
    writer.add(
        "models",
        batch=batch,
        made=now(),
        seed=seed,
        rows=made.rows,
        data_hash=made.data_hash,
        passed=int(not made.failed),
        said=json.dumps(said, default=float),
    )
    numbers = []
    for _, row in made.found.iterrows():
        x = plain_point({d: row[d] for d in descriptors})
        numbers.append(
            writer.add(
                "proposals",
                batch=batch,
                target=row["target"],
                x=json.dumps(x),
                label=row.get("label"),
                rank=int(row["rank"]),
                rule=row["rule"],
                state=OPEN,
                made=now(),
                changed=now(),
                **{name: float(row[name]) if np.isfinite(row[name]) else None for name in NUMBERS},
            )
        )
    writer.note("asked", batch=batch, proposals=numbers, rows=made.rows)
    return numbers
