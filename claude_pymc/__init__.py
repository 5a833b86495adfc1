"""claude_pymc: data assimilation of simulations and experiments in one joint Gaussian, on PyMC.

Public names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_WHERE = {
    "claude_pymc.acquisition.spaces": ["Box", "Simplex", "mesh"],
    "claude_pymc.acquisition.objectives": ["Maximize", "Minimize", "Reach", "Within"],
    "claude_pymc.acquisition.propose": ["propose"],
    "claude_pymc.datasets": ["load_dataset"],
    "claude_pymc.campaign.loop": ["Campaign"],
    "claude_pymc.errors": [
        "CampaignError",
        "CandidateError",
        "ClaudeError",
        "DesignError",
        "Notice",
        "PosteriorWarning",
        "SamplingError",
        "SpecError",
        "StatisticsError",
        "StudyError",
        "TableError",
    ],
    "claude_pymc.joint.automatic": ["fit"],
    "claude_pymc.joint.averaged_prediction": ["AveragedPosterior"],
    "claude_pymc.joint.comparison": ["Comparison", "compare"],
    "claude_pymc.joint.crossvalidation": ["cross_validate"],
    "claude_pymc.joint.exact": ["Evidence", "evidence"],
    "claude_pymc.joint.gaussian": ["log_likelihood"],
    "claude_pymc.joint.model": ["build_model"],
    "claude_pymc.joint.point": ["find_map"],
    "claude_pymc.joint.point_estimate": ["PointEstimate"],
    "claude_pymc.joint.posterior": ["JointPosterior"],
    "claude_pymc.joint.priors": ["FlatPrior", "LKJPrior", "ShrinkagePrior"],
    "claude_pymc.joint.rows": ["attach_rows"],
    "claude_pymc.joint.sampling": ["Sampler", "sample"],
    "claude_pymc.joint.spec": ["JointGaussian"],
    "claude_pymc.review.before": ["elicit", "sample_prior"],
    "claude_pymc.review.calibration": ["Calibration", "calibrate"],
    "claude_pymc.review.diagnostics": ["diagnose"],
    "claude_pymc.review.judged": ["plot_pit", "plot_shares"],
    "claude_pymc.review.linkage": ["plot_corrections", "plot_linkage"],
    "claude_pymc.review.maps": ["plot_maps"],
    "claude_pymc.review.plots": ["plot_parameters", "plot_predictions", "plot_ranks"],
    "claude_pymc.review.prior_curves": ["plot_prior_predictive"],
    "claude_pymc.review.report": ["report"],
    "claude_pymc.review.structure": ["plot_missing", "plot_precision"],
    "claude_pymc.review.surfaces": ["plot_slices", "plot_update"],
    "claude_pymc.review.ternary": ["plot_ternary"],
    "claude_pymc.review.style": ["alt_text"],
    "claude_pymc.review.verdict": ["Diagnostics"],
    "claude_pymc.simulators": ["simulate", "truth"],
    "claude_pymc.study": ["Study"],
    "claude_pymc.tables.basis": ["Polynomial", "Sine"],
    "claude_pymc.tables.landmarks": ["Landmarks"],
    "claude_pymc.tables.smooth": ["HSGP", "Legendre", "Spline"],
    "claude_pymc.tables.claude_xml": ["from_claude_xml"],
    "claude_pymc.tables.design": ["Design"],
    "claude_pymc.tables.formulas": ["formula_descriptors", "parse_formula"],
    "claude_pymc.tables.statistics": ["PatternStats"],
    "claude_pymc.tables.table": ["Table"],
}
_HOME = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'claude_pymc' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
