"""A campaign: ask what to measure, tell what came back, over weeks, from any process."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from claude_pymc.acquisition.objectives import Objective
from claude_pymc.acquisition.spaces import space_from_dict
from claude_pymc.campaign import begin
from claude_pymc.campaign.asking import Batch, keep, make
from claude_pymc.campaign.entries import (
    descriptors_from,
    points_of,
    results_of,
    table_of,
)
from claude_pymc.campaign.export import export, plot_progress
from claude_pymc.campaign.ledger import (
    FAILED,
    OPEN,
    RUNNING,
    WITHDRAWN,
    Ledger,
    Snapshot,
    Writer,
)
from claude_pymc.campaign.next_batch import Points, posterior_of
from claude_pymc.campaign.taking import Told, doubts, move_all, replace_value, take_up
from claude_pymc.errors import CampaignError, Notice, PosteriorWarning
from claude_pymc.joint.posterior import JointPosterior
from claude_pymc.joint.progress import shown
from claude_pymc.joint.spec import JointGaussian
from claude_pymc.tables.statistics import PatternStats
from claude_pymc.tables.table import Table

TRIES = 5  # to propose while others propose, too


class Campaign:
    """A search that is kept in one file.

    Use :meth:`open`. All that is said is kept in the file before a call returns; any number of
    processes may use it in turns.

    Examples
    --------
    >>> import tempfile
    >>> from claude_pymc import Box, Maximize
    >>> path, box = Path(tempfile.mkdtemp()) / "study.db", Box(x=(0.0, 1.0))
    >>> campaign = Campaign.open(path, None, box, Maximize("exp"), targets=["sim", "exp"])
    >>> asked = campaign.ask({"exp": 1, "sim": 3})
    >>> print(campaign.tell(asked.assign(value=[2.0, 1.9, 1.5, 1.8])))
    4 accepted
    """

    def __init__(
        self,
        ledger: Ledger,
        constraints: Sequence[Any] = (),
        said: Mapping[str, Any] | None = None,
    ) -> None:
        self.ledger = ledger
        self.said = dict(ledger.meta() if said is None else said)
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
        incumbent: str | None = None,
        replicate: bool | None = None,
        kind: str | None = None,
        draws: int | None = None,
        seed: int | None = None,
        rows: Any = None,
    ) -> Campaign:
        """Open the campaign in a file, or begin one.

        What is given for a campaign that exists must be what it began with; what is left out is
        what it began with, or, for a new one, as in :func:`claude_pymc.propose`.

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
            Of each posterior; default 1000.
        seed : int
            Of the whole campaign; default 0.
        rows : Table or DataFrame, optional
            Values that are known when a new campaign begins, as they are told to :meth:`tell`.

        Raises
        ------
        CampaignError
            If the file is something else or of a newer version, if what is given does not match
            it, or if something is lacking for a new campaign.
        """
        ledger = Ledger(path)
        settings = {
            "wants": None if wants is None else dict(wants),
            "rules": dict(rules) if isinstance(rules, Mapping) else rules,
            "costs": None if costs is None else dict(costs),
            "incumbent": incumbent,
            "replicate": replicate,
            "kind": kind,
            "draws": draws,
            "seed": seed,
        }
        given = begin.Given(
            spec,
            candidates,
            objective,
            targets if targets is None or isinstance(targets, str) else tuple(targets),
            tuple(constraints if isinstance(constraints, list | tuple) else [constraints]),
            getattr(rows if rows is not None else candidates, "units", {}),
            {name: value for name, value in settings.items() if value is not None},
        )
        if not ledger.exists():
            meta, pool, known = begin.meta_of(given)
            new = cls(ledger, constraints, meta)
            fill = partial(new._fill, [one for one in (known, rows) if one is not None])
            if ledger.create(meta, pool, fill):
                return cls(ledger, constraints)
        begin.refuse_mismatch(ledger, given)
        return cls(ledger, constraints)

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
        given = self.plan.wants or {self.plan.objective.target: 1}
        wants = begin.wants_of(self.plan, given if wants is None else wants)
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
            told = self._take_up(writer, frame, replicate)
        for text in doubts(self.said, told.points):
            warnings.warn(text, Notice, stacklevel=2)
        unfinished = getattr(getattr(frame, "value", None), "dtype", None) == np.float64
        if told.failed and unfinished:  # None beside numbers becomes NaN
            text = f"{told.failed} results are kept as failed (NaN); None says: not there yet"
            warnings.warn(text, Notice, stacklevel=2)
        return told

    def correct(self, observation: int, value: float | str | None, reason: str = "") -> int:
        """Replace a mistyped value; the old one stays in the history.

        Parameters
        ----------
        observation : int
            Its number in :attr:`observations`.
        value : float, str or None
            None, NaN or "failed": the measurement failed after all.
        reason : str

        Returns
        -------
        int
            Number of the new observation.
        """
        (number,) = begin.numbers_of(observation)
        with self.ledger.writing() as writer:
            made = replace_value(writer, number, value, reason)
            self._refuse_rows(writer)
        return made

    def start(self, proposals: Sequence[int] | int) -> None:
        """Say that proposals are being measured."""
        self._move(proposals, RUNNING, [OPEN])

    def withdraw(self, proposals: Sequence[int] | int) -> None:
        """Say that proposals will not be measured, or that failed ones may be tried again.

        Their points are proposed again if they are good.
        """
        self._move(proposals, WITHDRAWN, [OPEN, RUNNING, FAILED])

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
        return self._fit(self.table)[0]

    def plot(self) -> Figure:
        """Draw each measured value of the objective's target, and the best so far."""
        return plot_progress(self)

    def export(self, folder: str | Path) -> list[str]:
        """Write everything as CSV files into a new folder, and the names of the files."""
        return export(self, folder)

    def history(self) -> pd.DataFrame:
        """Everything that happened: when, what, and details."""
        return self.ledger.read().events

    def _with_points(self, entries: pd.DataFrame) -> pd.DataFrame:
        points = points_of(entries, self.descriptors)
        at = list(entries.columns).index("x")
        return pd.concat([entries.iloc[:, :at], points, entries.iloc[:, at + 1 :]], axis=1)

    def _table(self, state: Snapshot) -> Table:
        return table_of(state.current, self.descriptors, self.targets, self.said["units"])

    def _fit(self, table: Table) -> tuple[JointPosterior, tuple[str, ...]]:
        """Fit rows with the seed of the campaign; this object fits the same rows once."""
        if self._fitted is None or self._fitted[0] != table.digest:
            self._fitted = (table.digest, *posterior_of(self.plan, table, self.said["seed"]))
        return self._fitted[1:]

    def _points(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Points of proposals, by target."""
        return {
            target: points_of(some, self.descriptors).reset_index(drop=True)
            for target, some in rows.groupby("target", sort=False)
        }

    def _proposals(
        self,
        state: Snapshot,
        wants: dict[str, int],
        budget: float | None,
        seed: int,
        stage: Callable[[str], None],
    ) -> Batch:
        table, pending = self._table(state), self._points(state.waiting)
        lacking = self.said["functions"] > len(self.plan.constraints) - len(self.said["within"])
        if lacking:
            raise CampaignError(
                "the constraints that are functions, as when the campaign began",
                f"{self.said['functions']} of them are lacking",
                "functions are not kept in the file",
                "open it with the same constraints=[...]",
            )
        fit = partial(self._fit, table)
        avoid = {} if self.plan.replicate else self._points(state.failed)
        points = Points(pending, avoid)
        return make(self.plan, self.candidates, table, points, seed, wants, budget, fit, stage)

    def _fill(self, frames: list[Any], writer: Writer) -> None:
        """Take up what is known when a campaign begins; each row is a measurement of its own."""
        for number, frame in enumerate(frames):
            self._take_up(writer, frame, replicate=number == 0)
            writer = Writer(writer.connection)

    def _take_up(self, writer: Writer, frame: Any, replicate: bool) -> Told:
        """Take up results, if the model can take them."""
        results = results_of(frame, writer, self.descriptors, self.targets)
        told = take_up(writer, results, self.descriptors, replicate)
        self._refuse_rows(writer)
        return told

    def _refuse_rows(self, writer: Writer) -> None:
        """Refuse rows that the specification can never be fitted to."""
        table, spec = self._table(Snapshot(writer.connection)), self.plan.spec
        if spec is not None and len(table):
            PatternStats.from_table(table, spec.design, rows=spec.needs == "rows")

    def _move(self, proposals: Sequence[int] | int, state: str, before: list[str]) -> None:
        with self.ledger.writing() as writer:
            move_all(writer, begin.numbers_of(proposals), state, before)
