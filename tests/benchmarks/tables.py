"""Tables of the README and the pages, written from the figures of the benchmarks.

    python tests/benchmarks/tables.py [--record]

A benchmark writes `out/NAME.csv`. `--record` copies what is there to `measured/` beside this file;
then every block between `<!-- NAME: command -->` and `<!-- end -->` is written anew from there.
`tests/test_measured.py` holds the texts to these figures, and both to a later `out/NAME.csv`.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import gp_pair
import numpy as np
import pandas as pd
from accuracy import tested
from accuracy_cases import SEED
from accuracy_scores import OURS, SLACK, coverage, versus

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MEASURED, OUT = HERE / "measured", ROOT / "out"
TEXTS = [ROOT / "README.md", ROOT / "notebooks" / "pages" / "measured.md"]
BLOCK = re.compile(r"<!-- (\w+): ([^\n]*?) -->\n(.*?)<!-- end -->", re.DOTALL)


def lines(header: str, rows: list[str]) -> str:
    """Make a table of Markdown."""
    return "\n".join([header, "|---" * (header.count("|") - 1) + "|", *rows])


def three(value: float) -> str:
    """Three digits, without an exponent where the number is large."""
    digits = f"{value:.3g}"
    return f"{float(digits):.0f}" if value >= 1000 else digits


def plus_minus(value: float, error: float, digits: int = 3) -> str:
    """Value ± standard error, without a negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f} ± {error:.{digits}f}"


WORK = {  # name in bench.csv -> work
    "worst ESS/s, 60 rows, 10 terms": "effective draws per second: 60 rows, 10 terms",
    "the same in a fresh process": "the same, all of a fresh process counted",
    "500 effective draws, sine pair": "500 effective draws: sine pair, 51 coefficients",
    "500 effective draws, 500 entries": "500 effective draws: 500 coefficients",
    "refit after one more row, 500 draws": "one more row: statistics, 500 draws, names",
    "default fit, elV, 71 rows": "`cp.fit`: 71 rows",
    "default fit, binary, 1044 rows": "`cp.fit`: 1044 rows",
    "ingest of 10^6 rows, 49 terms": "statistics of 10^6 rows, 49 terms",
    "ingest, 10^6 rows, 7 terms, condition 10^7": "the same, 7 terms of condition 10^7",
    "error of coefficients, 10^6 rows, 7 terms, condition 10^7": "error of coefficients from them",
}
PEERS = {"imputing": "imputing PyMC", "marginal": "marginal PyMC", "numpyro": "marginal NumPyro"}


def spread(value: float, low: float, high: float, unit: str = "") -> str:
    """Median, and in brackets the least and the largest of the repeats, if there were some."""
    between = "" if low == high else f" ({three(low)} to {three(high)})"
    return f"{three(value)}{between}{unit}"


def bench(frame: pd.DataFrame) -> str:
    """Speed beside plain PyMC."""
    rows: list[str] = []
    said: list[str] = []
    for name, text in WORK.items():
        for line in frame[frame["name"] == name].itertuples():
            unit = "" if line.unit == "ESS/s" else f" {line.unit}"  # the work says which
            beside = ""
            if isinstance(line.peer, str):
                theirs = spread(line.peer_value, line.peer_low, line.peer_high, unit)
                beside = f"{PEERS.get(line.peer, line.peer)}: {theirs}"
            ratio = "" if np.isnan(line.ratio) else three(line.ratio)
            ours = spread(line.value, line.low, line.high, unit)
            first = [text, ours] if text not in said else ["", ""]
            said.append(text)
            rows.append(f"| {' | '.join([*first, beside, ratio])} |")
    remarks = frame.dropna(subset=["remark"]).itertuples()
    notes = "; ".join(f"{line.peer}: {line.remark}" for line in remarks)
    table = lines("| work | this package | beside | times better |", rows)
    return f"{table}\n\nOf the peers' draws: {notes}."


def elements(frame: pd.DataFrame) -> str:
    """Hidden volumes of the elements."""
    rows = [
        f"| {t.method} | {plus_minus(t.rmse, t.rmse_se)} | {plus_minus(t.lpd, t.lpd_se, 2)} "
        f"| {100 * t.coverage90:.0f} % ({100 * t.wilson_low:.0f} to {100 * t.wilson_high:.0f}) |"
        for t in frame.itertuples()
    ]
    head = "| method, same rows, folds and terms | RMSE of log volume | log predictive density "
    return lines(head + "| 90 % intervals that hold |", rows)


# What methods of accuracy_peers.py are called, piece by piece.
WORDS = {"[x, y]": "on [x, y]", "exp only": "on x alone", "delta": "of differences"}
WORDS |= {"BR1": "linear ridge", "BR2": "quadratic ridge", "GP": "process"}


def peer(name: str) -> str:
    """Say a method in words: "delta GP, propagated" is "process of differences, propagated"."""
    found = re.fullmatch(r"(.+) (BR1|BR2|GP)(, propagated)?", name)
    return f"{WORDS[found[2]]} {WORDS[found[1]]}{found[3] or ''}" if found else name


CASES = {"elV": "volume", "elB": "bulk modulus", "binary": "gap"}


def accuracies(frame: pd.DataFrame) -> str:
    """This package beside the best of its peers, by case and task."""
    against = versus(frame)
    rows = []
    for _, t in against.iterrows():
        one = f"{t['its rmse']:.3f}, {peer(t['best peer'])}"
        other = f"{t['its lpd']:.2f}, {peer(t['likeliest peer'])}"
        rows.append(
            f"| {CASES[t['case']]} {t['task']} | {t['rmse']:.3f} | {one} "
            f"| {plus_minus(t['rmse diff'], t['rmse se'])} | {t['lpd']:.2f} | {other} "
            f"| {plus_minus(t['lpd diff'], t['lpd se'], 2)} |"
        )
    head = "| case | RMSE | best peer | difference | log predictive density | best peer "
    return lines(head + "| difference |", rows)


def accuracy_text(frame: pd.DataFrame, seed: int = SEED) -> str:
    """Table and what it comes to."""
    held = coverage(frame, tested(seed)).loc[OURS]
    against, peers = versus(frame), frame["method"].nunique() - 1
    ends = f"{100 * held['low']:.0f} to {100 * held['high']:.0f}"
    return (
        f"{accuracies(frame)}\n\nBeside the best of {peers} peers, of {len(against)} cases: log "
        f"predictive density above the peer's or within one standard error in "
        f"{against['lpd ok'].sum()}, RMSE at most {SLACK} times the peer's in "
        f"{against['rmse ok'].sum()} (largest ratio {against['ratio'].max():.2f}). Of the 90 % "
        f"intervals {100 * held['all']:.0f} % hold ({ends})."
    )


def elsewhere(frame: pd.DataFrame) -> str:
    """The same on partitions that nobody had looked at."""
    return accuracy_text(frame, seed=51)


def elsewhere_in_words(frame: pd.DataFrame) -> str:
    """What that comes to, without its table."""
    return elsewhere(frame).split("\n\n")[-1]


RULES = {
    ("paper", 0.0): "the paper's rules (eq. 18, 19) on our posterior",
    ("ours", 0.0): "our rules",
    ("paper", 0.05): "the paper's rules, noise 0.05",
    ("ours", 0.05): "our rules, noise 0.05",
}
ARRIVES = {1: 49, 2: 27, 3: 20}  # of the paper's mean curves


def figure4(frame: pd.DataFrame) -> str:
    """Samples of E until the maximum is measured."""
    table = frame.set_index(["rule", "noise", "xi"])
    rows = [
        "| the paper: its mean curve arrives | " + " | ".join(map(str, ARRIVES.values())) + " |"
    ]
    for (rule, noise), text in RULES.items():
        cells = [table.loc[(rule, noise, xi)] for xi in ARRIVES]
        if noise == 0:
            near = " | ".join(f"{t['arrives']:.0f}" for t in cells)
            rows.append(f"| {text}: the mean curve is within 1 % | {near} |")
    for (rule, noise), text in RULES.items():
        cells = [table.loc[(rule, noise, xi)] for xi in ARRIVES]
        said = " | ".join(f"{t['mean']:.1f} ± {t['se']:.1f} ({t['max']:.0f})" for t in cells)
        rows.append(f"| {text}: until it is measured | {said} |")
    flat = [table.loc[("ols", noise, 0)] for noise in (0.0, 0.05)]
    least = ", with noise 0.05 ".join(
        f"{t['mean']:.0f} ± {t['se']:.0f} ({t['max']:.0f})" for t in flat
    )
    body = lines("| samples of E | xi = 1 | xi = 2 | xi = 3 |", rows)
    return f"{body}\n\nLeast squares on E alone needs {least}."


POOLS = {
    "elements": "the largest bulk modulus of 58 elements",
    "near": "a band gap within 0.1 eV of 1.5 eV, 12 of 216 compounds",
    "gaps": "the gap nearest to 1.5 eV, three of 216 compounds",
}


def pools(frame: pd.DataFrame) -> str:
    """Experiments until success on real tables."""
    rows = []
    for pool, text in POOLS.items():
        cells = []
        for method in ("ours", "exp only", "random"):
            part = frame[(frame["pool"] == pool) & (frame["method"] == method)]["experiments"]
            low, middle, high = (f"{q:.3g}" for q in np.quantile(part, [0.25, 0.5, 0.75]))
            cells.append(f"{middle} ({low} to {high})")
        rows.append(f"| {text} | {' | '.join(cells)} |")
    head = "| wanted | this package | expected improvement, process on the experiments alone "
    starts = frame["start"].nunique()
    return f"Median of {starts} starts:\n\n{lines(head + '| at random |', rows)}"


def pair(frame: pd.DataFrame) -> str:
    """Fifty cheap and two dear points."""
    return gp_pair.page(frame.set_index("method")).split("\n\n")[0]


# Name of a block -> file below out/, and how its text is made.
MADE: dict[str, tuple[str, Callable[[pd.DataFrame], str]]] = {
    "bench": ("bench.csv", bench),
    "elements": ("elements.csv", elements),
    "accuracy": ("accuracy.csv", accuracy_text),
    "accuracy_51": ("accuracy_51.csv", elsewhere),
    "accuracy_51_words": ("accuracy_51.csv", elsewhere_in_words),
    "figure4": ("figure4/summary.csv", figure4),
    "pools": ("pools.csv", pools),
    "gp_pair": ("gp_pair.csv", pair),
}


def kept(name: str) -> Path:
    """Return the file in which the figures of a block are kept."""
    return MEASURED / MADE[name][0].replace("/", "_")


def made(name: str, path: Path | None = None) -> str:
    """Write the text of a block, from what is kept or from another file."""
    return MADE[name][1](pd.read_csv(path or kept(name)))


def rewritten(text: str) -> str:
    """Return a text with its blocks written anew; the command is said below each for the reader."""

    def block(found: re.Match) -> str:
        name, command = found[1], found[2]
        make, _, remark = command.partition(" (")
        said = f"Measured by `{make}`" + (f" ({remark}" if remark else "") + "."
        return f"<!-- {name}: {command} -->\n\n{made(name)}\n\n{said}\n\n<!-- end -->"

    return BLOCK.sub(block, text)


def main() -> None:
    """Take up what was measured if asked, and write all texts."""
    if "--record" in sys.argv[1:]:
        MEASURED.mkdir(exist_ok=True)
        for name, (file, _) in MADE.items():
            if (OUT / file).exists():
                shutil.copyfile(OUT / file, kept(name))
    for path in TEXTS:
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
