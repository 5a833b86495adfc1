"""Write one small file of each format, with what it holds, to `tests/formats/`.

Run once for a new format, and commit: `test_formats.py` reads the files of all formats from then.
"""

import json
from pathlib import Path

import numpy as np

import claude_pymc as cp
from claude_pymc.campaign import ledger
from claude_pymc.joint import spec as specs
from claude_pymc.tables import statistics

HERE = Path(__file__).resolve().parent / "formats"
AT = [[0.25], [0.75]]


def main() -> None:
    """Write what is not there; a file that was committed is never written again."""
    HERE.mkdir(exist_ok=True)
    table = cp.simulate("toy_pair", seed=1)
    bounds = {"x": (0.0, 1.0)}
    design = cp.Design.from_table(table, cp.Polynomial(degree=3), {"exp": ["1"]}, bounds=bounds)
    spec, stats = cp.JointGaussian(design), cp.PatternStats.from_table(table, design)
    post = cp.JointPosterior(cp.sample(spec, stats, draws=20, chains=2, seed=1))
    told = {
        "terms": list(design.terms),
        "counts": stats.counts.tolist(),
        "mean": post.predict(AT).mean().to_numpy().tolist(),
        "linkage": float(post.linkage.sel(target="exp", target_bis="sim").mean()),
    }

    def campaign(path: Path) -> None:
        camp = cp.Campaign.open(path, spec, cp.mesh(x=np.linspace(0, 1, 5)), cp.Maximize("exp"))
        asked = camp.ask({"exp": 1})
        camp.tell(asked.assign(value=1.5))

    def text(path: Path) -> None:
        path.write_text(spec.to_json() + "\n", encoding="utf-8")

    for name, write in {
        f"spec_{specs.FORMAT}.json": text,
        f"stats_{statistics.FORMAT}.npz": stats.save,
        f"draws_{specs.FORMAT}.nc": post.save,
        f"campaign_{ledger.FORMAT}.db": campaign,
    }.items():
        if not (HERE / name).exists():
            write(HERE / name)
            holds = HERE / f"{name}.holds.json"
            holds.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
