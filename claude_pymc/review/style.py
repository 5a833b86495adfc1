"""How pictures look: colours, lines and markers that read in grey, labels, words for who listens.

Colours are Okabe-Ito, told apart by the colour-blind and in grey by their lightness; nothing is
said by colour alone. Every picture carries words that say what is seen, for those who do not see
it: :func:`describe` keeps them, :func:`alt_text` reads them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#595959"
GREEN, PURPLE, PALE = "#009E73", "#CC79A7", "#999999"
MAP = "cividis"  # of colour maps: lightness grows with the value
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.dpi": 120,
    "text.parse_math": False,  # a name may hold a dollar
}


class Look(NamedTuple):
    """Colour, line, marker and face of the marker of one target."""

    colour: str
    line: Any
    marker: str
    face: str


PRIMARY = Look(BLUE, "-", "o", BLUE)
CHEAPER = (
    Look(ORANGE, "--", "s", "white"),
    Look(GREEN, "-.", "^", "white"),
    Look(PURPLE, (0, (4, 1, 1, 1, 1, 1)), "D", "white"),
)


def look_of(target: str, targets: Iterable[str]) -> Look:
    """Look of a target: the primary one solid and filled, cheaper ones broken and open."""
    steps = list(targets)[::-1].index(target)
    return PRIMARY if steps == 0 else CHEAPER[(steps - 1) % len(CHEAPER)]


def axis_label(name: str, units: Mapping[str, str]) -> str:
    """Return "name [unit]"."""
    return f"{name} [{units[name]}]" if name in units else name


def widest(texts: Iterable[str], inches: float = 0.085) -> float:
    """Inches that the longest of some texts takes."""
    return inches * max(map(len, texts))


def headline(figure: Figure, *lines: str) -> None:
    """Put a title to the left above a figure, its lines broken where the figure ends."""
    width = max(40, int(12.5 * figure.get_size_inches()[0]))
    parts = [part for line in lines for part in line.splitlines()]
    text = "\n".join(textwrap.fill(part, width) for part in parts)
    figure.suptitle(text, x=0.01, ha="left", fontsize=11)


def number(value: float, unit: str = "") -> str:
    """Three digits of a number, with its unit."""
    return f"{value:.3g}" + (f" {unit}" if unit else "")


def describe(figure: Figure, text: str) -> Figure:
    """Keep words that say what a picture shows, for those who do not see it.

    Examples
    --------
    >>> alt_text(describe(Figure(), "A line that rises from 1 to 2."))
    'A line that rises from 1 to 2.'
    """
    figure.set_label(text)
    return figure


def alt_text(figure: Figure) -> str:
    """Return the words that :func:`describe` kept, empty if there are none.

    Examples
    --------
    >>> table = cp.simulate("toy_pair", seed=0)
    >>> alt_text(cp.plot_missing(table)).split(":")[0]
    'What 15 rows fill'
    """
    return str(figure.get_label() or "")


def log_scale(axes: Any, name: str, low: float, high: float) -> None:
    """Make the axis "x" or "y" logarithmic if its values span more than a factor of three."""
    if not (low > 0 and high > 3 * low):
        return
    axis = getattr(axes, f"{name}axis")
    getattr(axes, f"set_{name}scale")("log")
    subs = (1, 2, 5) if high < 300 * low else (1,)
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs))
    _plain(axis)


def plain_ticks(axis: Any, norm: Any) -> None:
    """Numbers in full on the axis of a bar whose scale is logarithmic."""
    low, high = norm.vmin, norm.vmax
    if isinstance(norm, matplotlib.colors.LogNorm):
        subs = (1, 2, 5) if high < 300 * low else (1,)
        axis.set_major_locator(matplotlib.ticker.LogLocator(subs=subs))
        _plain(axis)


def _plain(axis: Any) -> None:
    axis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def norm_of(low: float, high: float, log: bool) -> Any:
    """Scale of colours between two ends, logarithmic if asked and worth it."""
    if log and low > 0 and high > 3 * low:
        return matplotlib.colors.LogNorm(low, high)
    return matplotlib.colors.Normalize(low, high)


def contours(axes: Any, method: str, *arguments: Any, norm: Any) -> None:
    """Lines of equal value over the scale ``norm`` with their values, black on white.

    ``method`` is "contour" or "tricontour".
    """
    low, high = norm.vmin, norm.vmax
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        return  # a flat map has no lines
    steps: Any = matplotlib.ticker.MaxNLocator(7)
    if isinstance(norm, matplotlib.colors.LogNorm):
        steps = matplotlib.ticker.LogLocator(subs=(1, 2, 5))
    drawn = np.asarray(arguments[-1])
    levels = [v for v in steps.tick_values(low, high) if drawn.min() < v < drawn.max()]
    if not levels:
        return
    found = getattr(axes, method)(*arguments, levels=levels, colors="black", linewidths=0.8)
    for text in axes.clabel(found, fmt=lambda value: f"{value:.4g}", fontsize=8):
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85})
