"""Files of the method's published implementation become a design and statistics.

The implementation (GitHub yy-harashima/CLAUDE) saves two XML files, with z = (phi(x), y).
``parameter_model.xml`` has the exponents of phi, and which entries Lambda_jb of the precision are
free for target j and variable b of z; the free b among the terms are our correction set K_j.
``covariance_matrix.xml`` has its optimum of Lambda, and for each pattern Gamma of present targets
the number of rows n and, with ones on the diagonal of missing targets where ours has zeros,

    M = (1 / n) sum over the rows of z z^T,        C_Gamma = n M  (Harashima et al. 2025, eq. 9).

Descriptors and targets are used as they are there, so the design here does not standardise. A zero
of Lambda_yx = -T' D^-1 R (module `claude_pymc.joint.gaussian`) is the same statement as a zero of
the corrections R if K_d lies within K_(d-1) within .. K_1; a Notice says if it does not.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np

from claude_pymc.errors import DesignError, Notice, StatisticsError
from claude_pymc.tables.basis import Orders, Polynomial
from claude_pymc.tables.design import Design
from claude_pymc.tables.statistics import Pattern, PatternStats

Names = Sequence[str] | None
PARAMETERS, COVARIANCE = "CLAUDEModelParameter", "CLAUDECovarianceMatrix"
# Elements that may stand in a file; others could change the meaning of the numbers.
KNOWN = {
    PARAMETERS: "NumberDescriptor FlagLinearModel DegreePolynomialDescriptor DomainDescriptor "
    "NumberTarget DegreePolynomialTarget ActiveVariable InactiveVariable MinimizationMethod "
    "ModeInitialPrecisionMatrixMax OffsetInitialPrecisionMatrixMax",
    COVARIANCE: "NumberAvailablePattern CovarianceMatrix PrecisionMatrixMax Coefficient TargetMax "
    "WidthMonteCarlo NumberSampleMonteCarlo ModeAcquisitionFunction IndexTargetPrimary",
}
NOT_MEASURED = -1e16  # TargetMax before the first value of a target
EDITED = "another version wrote the file, or it was edited or cut"
APART = "the two files belong to different models, or one was edited or cut"
AGAIN = "save both files again with the published implementation, and pass the two together"


@dataclass(frozen=True, eq=False)
class ClaudeFiles:
    """What the two files of the published implementation hold.

    Parameters
    ----------
    design : Design
    stats : PatternStats or None
    precision : array (z, z) or None
        Its optimum of Lambda, z = (basis..., targets...), with a basis-basis block of zeros; it may
        be older than the last rows. None if there is none, or the identity, where fits start.
    maxima : tuple of float
        Largest value of each target so far, NaN where there is none; empty if not in the file.
    """

    design: Design
    stats: PatternStats | None = None
    precision: np.ndarray | None = None
    maxima: tuple[float, ...] = ()


def from_claude_xml(
    parameters: str | Path,
    covariance: str | Path | None = None,
    *,
    descriptors: Names = None,
    targets: Names = None,
) -> ClaudeFiles:
    """Read the files that the published implementation of the method saves.

    Parameters
    ----------
    parameters : path
        ``parameter_model.xml``.
    covariance : path, optional
        ``covariance_matrix.xml``; without it there is a design only.
    descriptors, targets : sequence of str, optional
        Names, which the files do not hold. Default: x1, x2, ... and y1, y2, ...

    Raises
    ------
    StatisticsError
        For a file that is missing, truncated, of another kind or version, or contradicts itself or
        the other one; and for what has no counterpart here: an inactive entry of Lambda between
        two targets, powers of targets, a primary target that is not the last.
    DesignError
        For a wrong number of names, repeated or reserved names, or a term of the basis twice.

    Warns
    -----
    Notice
        For correction sets that are not nested, and for rows without any target.

    Examples
    --------
    >>> files = from_claude_xml("parameter_model.xml", "covariance_matrix.xml")
    >>> new = cp.Table(["x1"], ["y1", "y2"], [[0.5]], [[1.0, np.nan]])
    >>> stats = files.stats + PatternStats.from_table(new, files.design)
    >>> stats.counts.sum() - files.stats.counts.sum()
    np.int64(1)
    """
    design = _design(_read(Path(parameters), PARAMETERS), descriptors, targets)
    if covariance is None:
        return ClaudeFiles(design)
    root = _read(Path(covariance), COVARIANCE)
    last = len(design.targets) - 1
    for node in root.findall("IndexTargetPrimary"):
        if _whole(node, -1, last) not in (-1, last):
            cause = "the targets were not listed from the cheapest to the primary one"
            todo = "fit again in that order; if only the index is wrong, correct it: no fit uses it"
            expected = f"IndexTargetPrimary {last}, so that the primary target is the last"
            raise _refusal(expected, f"{node.text}", cause, todo)
    found = {_whole(node, 0, last, "index"): _real(node) for node in root.findall("TargetMax")}
    measured = {j: value for j, value in found.items() if value != NOT_MEASURED}
    maxima = tuple(measured.get(j, math.nan) for j in range(last + 1)) if found else ()
    return ClaudeFiles(design, _statistics(root, design), _precision(root, design), maxima)


def _design(root: Element, descriptors: Names, targets: Names) -> Design:
    """Take basis and correction sets from the parameter file."""
    n, d = (_whole(_child(root, tag), 1, 999) for tag in ("NumberDescriptor", "NumberTarget"))
    orders = Polynomial(degree=1).orders(n)
    if not root.findtext("FlagLinearModel", "").strip().startswith("T"):
        orders = _exponents(root, "DegreePolynomialDescriptor", n)
    if _exponents(root, "DegreePolynomialTarget", d) != Polynomial(degree=1).orders(d)[1:]:
        expected = f"DegreePolynomialTarget 1 for each of the {d} targets, in their order"
        cause = "powers, products or another order of the targets were modelled"
        todo = "make these columns in a table, and the statistics from its rows"
        raise _refusal(expected, "other exponents", cause, todo)
    p = len(orders)
    active = np.ones((d, p + d), dtype=bool)
    active[1:, :p] = False
    for tag in ("ActiveVariable", "InactiveVariable"):  # the later one wins, as in its own reader
        for node in root.findall(tag):
            active[_whole(node, 0, d - 1, "index"), _whole(node, 0, p + d - 1)] = tag[0] == "A"
    for j, k in np.argwhere(~active[:, p:]):
        got = f"InactiveVariable index {j} with variable {p + k}, which is target {k}"
        cause = "a linkage was switched off, which the model here cannot express"
        todo = "write ActiveVariable there: the statistics stay, the model gains a linkage"
        raise _refusal("free entries of the precision between targets", got, cause, todo)
    if (active[1:, :p] & ~active[:-1, :p]).any():
        message = "correction sets are not nested: other zeros of the precision there than here"
        warnings.warn(f"{message}, so that the two models differ", Notice, 3)
    x, y = _names(descriptors, "x", n, "descriptors"), _names(targets, "y", d, "targets")
    sets = {t: [orders[b] for b in np.flatnonzero(active[j, :p])] for j, t in enumerate(y)}
    ranges = dict.fromkeys(x, (0.0, 1.0))  # not kept: nothing is scaled
    return Design.from_bounds(ranges, y, Polynomial(exponents=orders), sets, standardize=False)


def _statistics(root: Element, design: Design) -> PatternStats:
    """Take counts and Gram matrices from the covariance file."""
    nodes, d = root.findall("CovarianceMatrix"), len(design.targets)
    if _whole(_child(root, "NumberAvailablePattern"), 0) != len(nodes):
        raise _refusal("as many CovarianceMatrix as NumberAvailablePattern says", f"{len(nodes)}")
    stats, n_dropped = PatternStats.empty(design), 0
    for node in nodes:
        words = (_child(node, "AvailablePattern").text or "").split()
        pattern = tuple(word == "True" for word in words)
        if len(pattern) != d or set(words) - {"True", "False"}:
            raise _refusal(f"AvailablePattern of {d} words True or False", f"{words}", APART)
        n = _whole(_child(node, "NumberSampleAvailablePattern"), 0)
        gram = n * _mean_gram(node, pattern, design)
        if not any(pattern):
            n_dropped += n
        elif n:
            stats += PatternStats(design, (pattern,), np.array([n]), gram[None])
    if n_dropped:
        warnings.warn(f"{n_dropped} rows have no target and were left out", Notice, 3)
    return replace(stats, n_dropped=n_dropped)


def _mean_gram(node: Element, pattern: Pattern, design: Design) -> np.ndarray:
    """Return the mean of z z^T in one pattern, zeros for missing targets, if it can be one."""
    p = len(design.terms)
    mean, missing = _matrix(node, p + len(pattern)), np.append(np.zeros(p), ~np.array(pattern)) > 0
    others = mean[missing] - np.diag(mean.diagonal())[missing]
    mean[missing] = 0.0
    constant = [b for b, n in enumerate(design.basis.orders(len(design.descriptors))) if not any(n)]
    size = np.sqrt(np.where(mean.diagonal() > 0, mean.diagonal(), 1.0))
    lowest = np.linalg.eigvalsh(mean / np.outer(size, size))[0]
    for wrong, expected in (
        (others.any(), "zeros beside the diagonal of a missing target"),
        ((abs(mean[constant, constant] - 1) > 1e-6).any(), "means, not sums: 1 for the constant"),
        (lowest < -1e-9, "a positive semidefinite matrix, as a mean of z z^T is"),
    ):
        if wrong:
            raise _refusal(expected, f"other numbers in {_place(node)}", APART)
    return mean


def _precision(root: Element, design: Design) -> np.ndarray | None:
    """Take its optimum of Lambda; None if there is none, or still the identity."""
    p = len(design.terms)
    for node in root.findall("PrecisionMatrixMax"):
        precision = _matrix(node, p + len(design.targets))
        if (precision != np.eye(len(precision))).any():
            precision[:p, :p] = 0.0
            precision.flags.writeable = False
            return precision
    return None


def _names(given: Names, letter: str, n: int, what: str) -> tuple[str, ...]:
    """Return the names as given, or numbered ones."""
    names = tuple(f"{letter}{i + 1}" for i in range(n)) if given is None else tuple(given)
    if isinstance(given, str) or len(names) != n or len(set(names)) < n:
        cause = f"the parameter file has {n}; a name is too much, lacking or repeated"
        todo = "name the columns of the fit that wrote the files, in its order"
        raise DesignError(f"a list of {n} different names of {what}", f"{given!r}", cause, todo)
    return names


def _refusal(expected: str, got: str, cause: str = EDITED, todo: str = AGAIN) -> StatisticsError:
    return StatisticsError(expected, got, cause, todo)


def _place(node: Element) -> str:
    return " ".join([node.tag, *(f"{name} {value}" for name, value in node.items())])


def _child(node: Element, tag: str) -> Element:
    """Return the only child of that tag."""
    found = node.findall(tag)
    if len(found) != 1:
        raise _refusal(f"one element {tag} in {_place(node)}", f"{len(found)}")
    return found[0]


def _whole(node: Element, low: int, high: int = 10**12, attribute: str = "") -> int:
    """Read the text or an attribute as a whole number between bounds."""
    text = ((node.get(attribute) if attribute else node.text) or "").strip()
    value = int(text) if text.removeprefix("-").isdecimal() and len(text) < 19 else low - 1
    if not low <= value <= high:
        where = f"{attribute} of {_place(node)}" if attribute else _place(node)
        raise _refusal(f"a whole number from {low} to {high} as {where}", f"{text!r}", APART)
    return value


def _real(node: Element) -> float:
    """Read the text as a finite number."""
    try:
        value = float((node.text or "").replace("_", "?"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _refusal(f"a finite number as {_place(node)}", f"{node.text!r}")
    return value


def _exponents(root: Element, tag: str, length: int) -> Orders:
    """Read all elements of a tag as tuples of exponents."""
    rows = [(node.text or "").split() for node in root.findall(tag)]
    for row in rows or [["none"]]:
        if len(row) != length or not all(word.isdecimal() and len(word) < 4 for word in row):
            expected = f"{tag} with {length} exponents, which are whole numbers"
            raise _refusal(expected, f"{' '.join(row)!r}")
    return tuple(tuple(map(int, row)) for row in rows)


def _matrix(node: Element, size: int) -> np.ndarray:
    """Read a symmetric matrix from the elements of its upper triangle."""
    found, elements = np.full((size, size), np.nan), node.findall("Element")
    if 2 * len(elements) != size * (size + 1):
        expected = f"{size * (size + 1) // 2} of Element, for {size} terms and targets"
        raise _refusal(expected, f"{len(elements)} in {_place(node)}", APART)
    for element in elements:
        i, j = (_whole(element, 0, size - 1, name) for name in ("irow", "icol"))
        found[i, j] = found[j, i] = _real(element)
    for i, j in np.argwhere(np.isnan(found)):
        raise _refusal(f"an Element irow {i} icol {j} in {_place(node)}", "none")
    return found


def _read(path: Path, kind: str) -> Element:
    """Parse a file whose root, and the elements below it, are known."""
    if not path.exists():
        cause = "a typing error in the name, or another working folder"
        todo = "check the path; it is taken relative to the folder you are in"
        raise _refusal(f"an XML file at {path.name!r}", "no such file", cause, todo)
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "<!DOCTYPE" in text:  # could declare entities that grow without end
            raise ParseError("a document type")
        root = fromstring(text)
    except (OSError, ParseError, ValueError) as error:
        got = f"{error.strerror if isinstance(error, OSError) else error}"
        cause = "a typing error in the path, a truncated copy, or another kind of file"
        todo = "check the path, which starts in the folder you are in, or copy the file again"
        raise _refusal(f"complete XML in {path.name!r}", got, cause, todo) from error
    if root.tag != kind:
        cause = "the two files were exchanged" if root.tag in KNOWN else "another kind of file"
        todo = "pass the parameter file first, then the covariance file"
        raise _refusal(f"the root element {kind} in {path.name!r}", root.tag, cause, todo)
    for child in root:
        if child.tag not in KNOWN[kind].split():
            cause = "another version, in which the numbers may mean something else"
            todo = "make the statistics from the rows; or take it out if it does not change them"
            raise _refusal(f"elements of {kind} known here", f"{child.tag}", cause, todo)
    return root
