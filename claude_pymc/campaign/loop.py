"""A campaign: ask what to measure, tell what came back, over weeks, from any process."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.acquisition.objectives import Objective
from claude_pymc.acquisition.spaces import space_from_dict
from claude_pymc.campaign import begin
from claude_pymc.campaign.asking import Batch, keep, make
from claude_pymc.campaign.entries import (
    descriptors_from,
    number_of,
    points_of,
    results_of,
    table_of,
)
from claude_pymc.campaign.ledger import (
    CURRENT,
    FAILED,
    OPEN,
    RUNNING,
    WITHDRAWN,
    Ledger,
    Snapshot,
    now,
)
from claude_pymc.campaign.next_batch import posterior_of
from claude_pymc.campaign.taking import Told, take_up
from claude_pymc.errors import CampaignError, PosteriorWarning
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.progress import shown
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.table import Table

TRIES = 5  # to propose while others propose, too


class Campaign:
    """A search that is kept in one file.

    Use :meth:`open`. All that is said is kept in the file before a call returns; any number of
    processes may use it in turns.

    Examples
    --------
    >>> import tempfile
    >>> from claude_pymc.acquisition.objectives import Maximize
    >>> box, path = Box(x=(0.0, 1.0)), Path(tempfile.mkdtemp()) / "study.db"
    >>> campaign = Campaign.open(path, None, box, Maximize("exp"), targets=["sim", "exp"])
    >>> asked = campaign.ask({"exp": 1, "sim": 3})
    >>> print(campaign.tell(asked.assign(value=[2.0, 1.9, 1.5, 1.8])))
    4 accepted
    """

    def __init__(self, ledger: Ledger, constraints: Sequence[Any] = ()) -> None:
        self.ledger = ledger
        self.said = ledger.meta()
        self.plan = begin.plan_of(self.said, constraints)
        self.descriptors = descriptors_from(self.said["descriptors"])
        self.targets = tuple(self.said["targets"])
        self._candidates: Any = None
        self._fitted: tuple[str, JointPosterior, tuple[str, ...]] | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        spec: JointGaussian | None = None,
        candidates: Any = None,
        objective: Objective | None = None,
        *,
        targets: Sequence[str] | None = None,
        wants: Mapping[str, int] | None = None,
        rules: Mapping[str, str] | str | None = None,
        costs: Mapping[str, float] | None = None,
        constraints: Sequence[Any] = (),
        incumbent: str = "observed",
        replicate: bool = False,
        kind: str = "mean",
        draws: int = 1000,
        seed: int = 0,
    ) -> Campaign:
        """Open the campaign in a file, or begin one.

        Parameters
        ----------
        path : str or Path
        spec : JointGaussian, optional
            Default, for a new campaign: each fit is that of :func:`claude_pymc.fit`.
        candidates : Table, DataFrame, Box or Simplex
            Needed for a new campaign. Columns of targets, if any, are values that are known.
        objective : Maximize, Minimize or Reach
            Needed for a new campaign.
        targets : sequence of str, optional
            Cheapest first; needed without a specification.
        wants : mapping of target to number, optional
            Of each `ask`, unless it says otherwise.
        rules, costs, constraints, incumbent, replicate, kind
            As in :func:`claude_pymc.propose`. Constraints that are functions are not kept: give
            them again whenever a campaign in a box or a simplex is opened.
        draws : int
            Of each posterior.
        seed : int
            Of the whole campaign.

        Raises
        ------
        CampaignError
            If the file is something else or of a newer version, if what is given does not match
            it, or if something is lacking for a new campaign.
        """
        ledger = Ledger(path)
        given = begin.Given(
            spec,
            candidates,
            objective,
            targets if targets is None or isinstance(targets, str) else tuple(targets),
            dict(wants or {}),
            rules,
            dict(costs or {}),
            tuple(constraints),
            incumbent,
            replicate,
            kind,
            draws,
            seed,
        )
        if ledger.exists():
            begin.refuse_mismatch(ledger, given)
            return cls(ledger, constraints)
        meta, pool, known = begin.meta_of(given)
        ledger.create(meta, pool)
        campaign = cls(ledger, constraints)
        if known is not None and len(known):
            campaign.tell(known)
        return campaign

    @property
    def candidates(self) -> Any:
        """Candidates: a DataFrame, a Box or a Simplex."""
        if self._candidates is None:
            space = self.said["space"]
            self._candidates = space_from_dict(space) if space else self.ledger.pool()
        return self._candidates

    def ask(
        self,
        wants: Mapping[str, int] | None = None,
        *,
        budget: float | None = None,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Propose the next batch, and keep it as open.

        What is open or running is not proposed again, and conditioned on. Where nothing was told
        yet, points cover the candidates.

        Parameters
        ----------
        wants : mapping of target to number, optional
            Default: those of the campaign, else one of the primary target.
        budget : float, optional
            To be spent where it is worth most, by the costs of the campaign.
        progress : bool
            Show the stage of what takes longer than a second.

        Returns
        -------
        DataFrame
            One row per proposal: its number in ``proposal``, then as in
            :func:`claude_pymc.propose`, and an empty column ``value`` to fill in.

        Raises
        ------
        CandidateError
            If nothing is left to propose.

        Warns
        -----
        PosteriorWarning
            If the posterior behind the proposals failed a check.
        """
        wants = dict(wants or self.plan.wants or {self.plan.objective.target: 1})
        with shown("ask", progress=progress) as stage:
            for _ in range(TRIES):
                state = self.ledger.read()
                batch = int(state.models["batch"].max()) + 1 if len(state.models) else 1
                seed = int(np.random.SeedSequence([self.said["seed"], batch]).generate_state(1)[0])
                made = self._proposals(state, wants, budget, seed, stage)
                with self.ledger.writing() as writer:
                    if writer.mark == state.mark:
                        numbers = keep(writer, batch, seed, made, self.descriptors)
                        break
            else:
                raise CampaignError(
                    "a moment in which nobody else asks or tells",
                    f"{TRIES} times somebody did while proposals were made",
                    "several processes share the campaign",
                    "ask again",
                )
        found = made.found
        if made.failed:
            text = "\n".join(["the posterior failed its checks", *made.failed])
            warnings.warn(text, PosteriorWarning, stacklevel=2)
        attrs = found.attrs
        found = found.assign(value=pd.Series([None] * len(found), dtype=object))
        found.insert(0, "proposal", numbers)
        found.attrs = {**attrs, "batch": batch}
        return found

    def tell(self, frame: Any, *, replicate: bool = False) -> Told:
        """Take up results; all of them, or, if one is refused, none.

        Parameters
        ----------
        frame : DataFrame or Table
            What :meth:`ask` returned, with ``value`` filled in: None is a result that is not there
            yet, NaN one that failed. Or descriptors and targets: values at points that were never
            proposed are taken up as external.
        replicate : bool
            Equal or other values at a point where there is one are new measurements.

        Raises
        ------
        CampaignError
            If a value is no number, a proposal is unknown, or it has another value already.
        """
        with self.ledger.writing() as writer:
            results = results_of(frame, writer, self.descriptors, self.targets)
            told = take_up(writer, results, self.descriptors, replicate)
        return told

    def correct(self, observation: int, value: float | None, reason: str = "") -> int:
        """Replace a mistyped value; the old one stays in the history.

        Parameters
        ----------
        observation : int
            Its number in :attr:`observations`.
        value : float or None
            None or NaN: the measurement failed after all.
        reason : str

        Returns
        -------
        int
            Number of the new observation.
        """
        number = number_of(value, f"for observation {observation}")
        failed = number is None or math.isnan(number)
        with self.ledger.writing() as writer:
            rows = writer.current.set_index("id")
            if observation not in rows.index:
                raise CampaignError(
                    "the number of an observation that counts",
                    f"{observation!r}",
                    "it was replaced before, or belongs to another campaign",
                    "look at campaign.observations",
                )
            old = rows.loc[observation]
            proposal = None if pd.isna(old["proposal"]) else int(old["proposal"])
            writer.retire(observation)
            made = writer.add(
                "observations",
                proposal=proposal,
                target=old["target"],
                x=old["x"],
                label=old["label"],
                value=None if failed else number,
                state=FAILED if failed else CURRENT,
                replaces=observation,
                made=now(),
            )
            if proposal is not None and failed:
                writer.move(proposal, FAILED)
            writer.note(
                "corrected",
                observation=observation,
                old=float(old["value"]),
                by=made,
                new=None if failed else number,
                reason=reason,
            )
        return made

    def start(self, proposals: Sequence[int] | int) -> None:
        """Say that proposals are being measured."""
        self._move(proposals, RUNNING, [OPEN])

    def withdraw(self, proposals: Sequence[int] | int) -> None:
        """Say that proposals will not be measured: they are proposed again if they are good."""
        self._move(proposals, WITHDRAWN, [OPEN, RUNNING])

    @property
    def proposals(self) -> pd.DataFrame:
        """All proposals, with their state."""
        return self._with_points(self.ledger.read().proposals)

    @property
    def observations(self) -> pd.DataFrame:
        """All values that were told, those that were replaced or failed, too."""
        return self._with_points(self.ledger.read().observations)

    @property
    def table(self) -> Table:
        """Rows of what counts."""
        return self._table(self.ledger.read())

    def posterior(self) -> JointPosterior:
        """Fit what counts now."""
        return self._fit(self.table, self.said["seed"])[0]

    def history(self) -> pd.DataFrame:
        """Everything that happened: when, what, and details."""
        return self.ledger.read().events

    def _with_points(self, entries: pd.DataFrame) -> pd.DataFrame:
        points = points_of(entries, self.descriptors)
        at = list(entries.columns).index("x")
        return pd.concat([entries.iloc[:, :at], points, entries.iloc[:, at + 1 :]], axis=1)

    def _table(self, state: Snapshot) -> Table:
        return table_of(state.current, self.descriptors, self.targets, self.said["units"])

    def _fit(self, table: Table, seed: int) -> tuple[JointPosterior, tuple[str, ...]]:
        """Fit rows; the same rows are not fitted again by this object."""
        if self._fitted is None or self._fitted[0] != table.digest:
            self._fitted = (table.digest, *posterior_of(self.plan, table, seed))
        return self._fitted[1:]

    def _pending(self, state: Snapshot) -> dict[str, pd.DataFrame]:
        waiting = state.waiting
        return {
            target: points_of(rows, self.descriptors).reset_index(drop=True)
            for target, rows in waiting.groupby("target", sort=False)
        }

    def _proposals(
        self,
        state: Snapshot,
        wants: dict[str, int],
        budget: float | None,
        seed: int,
        stage: Callable[[str], None],
    ) -> Batch:
        table, pending = self._table(state), self._pending(state)
        lacking = self.said["functions"] > len(self.plan.constraints) - len(self.said["within"])
        if lacking:
            raise CampaignError(
                "the constraints that are functions, as when the campaign began",
                f"{self.said['functions']} of them are lacking",
                "functions are not kept in the file",
                "open it with the same constraints=[...]",
            )
        fit = partial(self._fit, table, seed)
        return make(self.plan, self.candidates, table, pending, seed, wants, budget, fit, stage)

    def _move(self, proposals: Sequence[int] | int, state: str, before: list[str]) -> None:
        numbers = [proposals] if isinstance(proposals, int | np.integer) else list(proposals)
        with self.ledger.writing() as writer:
            states = writer.proposals.set_index("id")["state"]
            for number in numbers:
                now_state = states.get(number, "unknown")
                if now_state == state:
                    continue
                if now_state not in before:
                    raise CampaignError(
                        f"proposals that are {' or '.join(before)}, to be {state}",
                        f"proposal {number}, which is {now_state}",
                        "a number of another batch, or its result was told",
                        "look at campaign.proposals",
                    )
                writer.move(int(number), state)
            writer.note(state, proposals=[int(n) for n in numbers])
