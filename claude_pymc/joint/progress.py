"""A line on the terminal that names the stage of whatever takes longer than a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

SILENT = 1.0  # seconds after which it appears


@contextmanager
def shown(what: str, *, progress: bool) -> Iterator[Callable[[str], None]]:
    """Yield what is told the name of each stage."""
    if not progress:
        yield lambda name: None
        return
    from rich.console import Console

    status = Console(stderr=True).status(what)
    later = Timer(SILENT, status.start)
    later.start()
    try:
        yield lambda name: status.update(f"{what}: {name}")
    finally:
        later.cancel()
        later.join()
        status.stop()
