"""Data and studies that travel with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from claude_pymc.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd


def folder(name: str) -> Path:
    """Return the folder ``data`` or ``models``, from the wheel or from a checkout."""
    here = Path(__file__).resolve().parent
    inside = here / f"_{name}"
    return inside if inside.is_dir() else here.parent / name


def shipped(kind: str, name: str, suffix: str) -> Path:
    """Return the path of a shipped file by its stem, or say which there are."""
    path = folder(kind) / f"{name}{suffix}"
    if not path.is_file() or Path(name).name != name:
        known = sorted(p.stem for p in folder(kind).glob(f"*{suffix}"))
        raise StudyError(
            f"a name among {known}", f"{name!r}", "a typing error", "choose one of the known names"
        )
    return path


def load_dataset(name: str) -> pd.DataFrame:
    """Load a shipped table by the stem of its file; ``data/README.md`` lists them.

    Examples
    --------
    >>> load_dataset("elements").shape[0]
    71
    """
    import pandas as pd

    # An empty cell alone is missing: NaN is sodium nitride.
    return pd.read_csv(shipped("data", name, ".csv"), keep_default_na=False, na_values=[""])
