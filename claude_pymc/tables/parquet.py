"""Parquet files become frames of a bounded number of rows."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from claude_pymc.errors import StatisticsError, TableError

if TYPE_CHECKING:
    import pandas as pd

BUFFER = 2**20  # bytes of a column that are read at a time
Paths = str | Path | Iterable[str | Path]


def lacking(package: str, extra: str, error: ImportError) -> StatisticsError:
    """Make the error for a package of an extra that cannot be imported."""
    return StatisticsError(
        f"the package {package}",
        f"it cannot be imported: {error}",
        f"it comes with the extra {extra!r}, which is not installed",
        f"in the repository: pip install '.[{extra}]'",
    )


class ParquetFiles:
    """Files with their names for a person, their columns and the number of their rows.

    Parameters
    ----------
    paths : str, Path or iterable of them
        Files, folders and patterns; a file named twice is there once.
    """

    def __init__(self, paths: Paths) -> None:
        """Read the last bytes of each file, which say what is in it."""
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise lacking("pyarrow", "parquet", error) from error
        self._parquet = parquet
        self._paths = _named(_files(paths))
        self.columns: dict[str, list[str]] = {}
        self.n_rows = 0
        for name, path in self._paths.items():
            with _readable(name):
                header = self._parquet.read_metadata(path)
                self.columns[name] = header.schema.to_arrow_schema().names
            self.n_rows += header.num_rows

    def frames(
        self, columns: tuple[str, ...], size: int, progress: bool
    ) -> Iterator[tuple[str, int, pd.DataFrame]]:
        """Yield the name of a file, the number of the first row, and at most ``size`` rows."""
        with _bar(self.n_rows, progress) as advance:
            for name, path in self._paths.items():
                with (
                    _readable(name),
                    self._parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file,
                ):
                    start = 0
                    for batch in file.iter_batches(size, columns=list(columns)):
                        # Metadata of pandas would make an index of some columns.
                        yield name, start, batch.to_pandas(ignore_metadata=True)
                        start += batch.num_rows
                        advance(batch.num_rows)


def _files(paths: Paths) -> list[Path]:
    """Return the files that paths, folders and patterns name, each once."""
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found = {file.resolve(): file for path in several for file in _below(os.fspath(path))}
    if not found:
        raise TableError(
            "Parquet files",
            "an empty list of paths",
            "a search that found nothing, or an iterator that was used up before",
            "pass files, their folder, or a pattern",
        )
    return list(found.values())


def _below(path: str) -> list[Path]:
    """Return one file, those of a folder, or those that a pattern matches."""
    folder = Path(path)
    if folder.is_file():
        return [folder]
    if folder.is_dir():
        files = [file for file in sorted(folder.rglob("*.parquet")) if file.is_file()]
        inner = [file.relative_to(folder).parts for file in files]
        files = [
            file
            for file, parts in zip(files, inner, strict=True)
            if not any(part[0] in "._" for part in parts)
        ]
    else:
        files = [
            file for found in sorted(glob.glob(path, recursive=True)) for file in _below(found)
        ]
    if not files:
        raise TableError(
            f"Parquet files at {path!r}",
            "a folder without *.parquet" if folder.is_dir() else "no such file",
            "a typing error in the name, another ending, or another working folder",
            "check the path; a pattern such as 'runs/*.pq' names files of another ending",
        )
    return files


def _named(files: list[Path]) -> dict[str, Path]:
    """Name files for a person: without their folders, if that tells them apart."""
    short = {file.name: file for file in files}
    return short if len(short) == len(files) else {file.as_posix(): file for file in files}


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what Arrow says about a file into an error that names it."""
    import pyarrow

    try:
        yield
    except MemoryError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        raise TableError(
            "a Parquet file",
            f"{name!r}: {(str(error) or type(error).__name__).splitlines()[0]}",
            "another kind of file, or a truncated copy",
            "write it again, or leave it out",
        ) from error


@contextmanager
def _bar(total: int, progress: bool) -> Iterator[Callable[[int], None]]:
    """Yield what is told how many rows are done."""
    if not progress:
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("condensing rows", total=total)
        yield lambda rows: bar.advance(task, rows)
