"""The ledger of a campaign: one SQLite file that keeps everything that was said.

Values are never overwritten: a corrected one is replaced by a new entry, and stays. Each change is
one transaction, with a rollback journal (which works on network shares) and full synchronisation:
after a crash at any moment the file opens with all that was acknowledged, and nothing else.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from claude_pymc.errors import CampaignError

FORMAT = 1
APPLICATION = 0x434C4155  # "CLAU"
WAIT = 30.0  # seconds, for another process that writes

OPEN, RUNNING, DONE, FAILED, WITHDRAWN = "open", "running", "done", "failed", "withdrawn"
CURRENT, REPLACED = "current", "replaced"

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pool (data BLOB NOT NULL);
CREATE TABLE models (
    batch INTEGER PRIMARY KEY, made TEXT NOT NULL, seed INTEGER NOT NULL, rows INTEGER NOT NULL,
    data_hash TEXT NOT NULL, passed INTEGER NOT NULL, said TEXT NOT NULL);
CREATE TABLE proposals (
    id INTEGER PRIMARY KEY AUTOINCREMENT, batch INTEGER NOT NULL REFERENCES models (batch),
    target TEXT NOT NULL, x TEXT NOT NULL, label TEXT, rank INTEGER NOT NULL, rule TEXT NOT NULL,
    mean REAL, std REAL, lower90 REAL, upper90 REAL, score REAL,
    state TEXT NOT NULL CHECK (state IN ('open', 'running', 'done', 'failed', 'withdrawn')),
    made TEXT NOT NULL, changed TEXT NOT NULL);
CREATE TABLE observations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, proposal INTEGER REFERENCES proposals (id),
    target TEXT NOT NULL, x TEXT NOT NULL, label TEXT, value REAL,
    state TEXT NOT NULL CHECK (state IN ('current', 'replaced', 'failed')),
    replaces INTEGER UNIQUE REFERENCES observations (id), made TEXT NOT NULL);
CREATE UNIQUE INDEX one_value ON observations (proposal)
    WHERE state = 'current' AND proposal IS NOT NULL;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, made TEXT NOT NULL, what TEXT NOT NULL,
    detail TEXT NOT NULL);
"""


class Ledger:
    """Transactions on the file of a campaign.

    Every call opens the file and closes it again: nothing is held between calls, so that any
    number of processes may take turns.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()

    def exists(self) -> bool:
        """Say whether a campaign is kept there; refuse a file that is something else.

        A creation that was cut short left nothing behind but perhaps an empty file.
        """
        if not self.path.exists() or not self.path.stat().st_size:
            return False
        with self._connected() as connection:
            return self._version(connection) > 0

    def create(
        self,
        meta: Mapping[str, Any],
        pool: pd.DataFrame | None,
        fill: Callable[[Writer], object] = lambda writer: None,
    ) -> bool:
        """Begin a ledger, unless there is one, and ``fill`` it; say whether it was begun."""
        settings = [(key, json.dumps(value, default=_plain)) for key, value in meta.items()]
        columns = {} if pool is None else {name: list(pool[name]) for name in map(str, pool)}
        data = zlib.compress(json.dumps(columns).encode())
        with self._connected() as connection, self._transaction(connection):
            if self._version(connection):
                return False
            for statement in filter(str.strip, SCHEMA.split(";")):
                connection.execute(statement)
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                settings,
            )
            connection.execute("INSERT INTO pool VALUES (?)", (data,))
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            self._note(connection, "created", {})
            fill(Writer(connection))
        return True

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Run one transaction: all of it is kept, or nothing; one process at a time."""
        with self._connected() as connection, self._transaction(connection):
            self._version(connection)
            yield Writer(connection)

    def meta(self) -> dict[str, Any]:
        """Return what was said when the campaign began."""
        with self._connected() as connection:
            rows = connection.execute("SELECT key, value FROM meta").fetchall()
        return {key: json.loads(value) for key, value in rows}

    def pool(self) -> pd.DataFrame:
        """Return the candidates that were kept."""
        with self._connected() as connection:
            (data,) = connection.execute("SELECT data FROM pool").fetchone()
        return pd.DataFrame(json.loads(zlib.decompress(data)))

    def read(self) -> Snapshot:
        """Everything in it, at one moment."""
        with self._connected() as connection:
            connection.execute("BEGIN")
            self._version(connection)
            return Snapshot(connection)

    def _version(self, connection: sqlite3.Connection) -> int:
        """Format of the file, 0 for an empty one."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables and not version:
            return 0
        if application != APPLICATION:
            raise CampaignError(
                "the ledger of a campaign",
                f"{self.path.name!r}, a database of something else",
                "a wrong file",
                "choose another path",
            )
        if version > FORMAT:
            raise CampaignError(
                f"a ledger of format {FORMAT} or older",
                f"format {version} in {self.path.name!r}",
                "it was written by a newer version of this package",
                "update the package; the file was not touched",
            )
        return int(version)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Open the file, and say in our words what goes wrong with it."""
        try:
            with closing(
                sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
            ) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute("PRAGMA synchronous = EXTRA")
                connection.execute("PRAGMA foreign_keys = ON")
                yield connection
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _note(self, connection: sqlite3.Connection, what: str, detail: Mapping[str, Any]) -> None:
        connection.execute(
            "INSERT INTO events (made, what, detail) VALUES (?, ?, ?)",
            (now(), what, json.dumps(detail)),
        )

    def _trouble(self, error: sqlite3.Error) -> CampaignError:
        text = str(error)
        folder = self.path.resolve().parent
        if not folder.is_dir():
            cause, todo = "there is no such folder", "create the folder, or correct the path"
        elif "full" in text:
            cause, todo = "the disk is full", "free some space and say it again; nothing was kept"
        elif "readonly" in text or "unable to open" in text:
            cause = "the file or its folder may not be written to, or is a folder"
            todo = "ask for the right to write, or copy the ledger elsewhere"
        elif "locked" in text or "busy" in text:
            cause = f"another process has been writing for {WAIT:.0f} seconds"
            todo = "wait for it and say it again; nothing was kept"
        elif "not a database" in text or "malformed" in text:
            cause = "the file is something else, or was damaged by a copy while it was written"
            todo = "choose another path, or a copy from before"
        else:
            cause, todo = "the disk or the file system", "say it again; nothing was kept"
        return CampaignError(
            f"to read and write the ledger {self.path.name!r}", f"{text}", cause, todo
        )


class Snapshot:
    """Tables of a ledger at one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.proposals = _frame(connection, "proposals")
        self.observations = _frame(connection, "observations")
        self.models = _frame(connection, "models")
        self.events = _frame(connection, "events")

    @property
    def current(self) -> pd.DataFrame:
        """Observations that count, in the order in which they were told; corrected ones keep it."""
        first: dict[int, int] = {}
        for row in self.observations.itertuples():
            first[row.id] = row.id if pd.isna(row.replaces) else first[int(row.replaces)]
        found = self.observations[self.observations["state"] == CURRENT]
        return found.iloc[np.argsort([first[i] for i in found["id"]], kind="stable")]

    @property
    def waiting(self) -> pd.DataFrame:
        """Proposals without a result yet."""
        return self.proposals[self.proposals["state"].isin([OPEN, RUNNING])]

    @property
    def failed(self) -> pd.DataFrame:
        """Proposals that failed, at points where nothing was measured since."""
        done = self.proposals[self.proposals["state"] == DONE]
        measured = set(zip(done["x"], done["target"], strict=True))
        rows = self.proposals[self.proposals["state"] == FAILED]
        again = [(x, t) in measured for x, t in zip(rows["x"], rows["target"], strict=True)]
        return rows[~np.array(again, dtype=bool)]

    @property
    def mark(self) -> int:
        """Number of the last event: it changes with everything."""
        return int(self.events["id"].max())


class Writer(Snapshot):
    """A transaction: what was read, and what is added to it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.connection = connection

    def add(self, table: str, **values: Any) -> int:
        """Add a row and return its number."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        cursor = self.connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",
            tuple(values.values()),
        )
        return int(cursor.lastrowid or 0)

    def move(self, proposal: int, state: str) -> None:
        """Change the state of a proposal."""
        self.connection.execute(
            "UPDATE proposals SET state = ?, changed = ? WHERE id = ?", (state, now(), proposal)
        )

    def retire(self, observation: int) -> None:
        """Let an observation be replaced."""
        self.connection.execute(
            "UPDATE observations SET state = ? WHERE id = ?", (REPLACED, observation)
        )

    def note(self, what: str, **detail: Any) -> None:
        """Write what happened into the history."""
        self.add("events", made=now(), what=what, detail=json.dumps(detail))


def now() -> str:
    """Return the time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(value: Any) -> Any:
    """Return a number of numpy as one of Python."""
    return value.item()


def _frame(connection: sqlite3.Connection, table: str) -> pd.DataFrame:
    cursor = connection.execute(f"SELECT * FROM {table} ORDER BY 1")
    names = [column[0] for column in cursor.description]
    frame = pd.DataFrame(cursor.fetchall(), columns=names)
    if table == "observations":
        frame = frame.astype({"proposal": "Int64", "replaces": "Int64", "value": float})
    return frame
