"""Types of the public names, which `__init__.py` loads lazily."""

from claude_pymc.acquisition.candidates import mesh as mesh
from claude_pymc.acquisition.objectives import Maximize as Maximize
from claude_pymc.acquisition.objectives import Minimize as Minimize
from claude_pymc.acquisition.objectives import Reach as Reach
from claude_pymc.acquisition.propose import propose as propose
from claude_pymc.datasets import load_dataset as load_dataset
from claude_pymc.errors import CandidateError as CandidateError
from claude_pymc.errors import ClaudeError as ClaudeError
from claude_pymc.errors import DesignError as DesignError
from claude_pymc.errors import Notice as Notice
from claude_pymc.errors import PosteriorWarning as PosteriorWarning
from claude_pymc.errors import SamplingError as SamplingError
from claude_pymc.errors import SpecError as SpecError
from claude_pymc.errors import StatisticsError as StatisticsError
from claude_pymc.errors import StudyError as StudyError
from claude_pymc.errors import TableError as TableError
from claude_pymc.joint.crossvalidation import cross_validate as cross_validate
from claude_pymc.joint.exact import Evidence as Evidence
from claude_pymc.joint.exact import evidence as evidence
from claude_pymc.joint.gaussian import log_likelihood as log_likelihood
from claude_pymc.joint.model import build_model as build_model
from claude_pymc.joint.point import find_map as find_map
from claude_pymc.joint.point_estimate import PointEstimate as PointEstimate
from claude_pymc.joint.posterior import JointPosterior as JointPosterior
from claude_pymc.joint.priors import FlatPrior as FlatPrior
from claude_pymc.joint.priors import LKJPrior as LKJPrior
from claude_pymc.joint.priors import ShrinkagePrior as ShrinkagePrior
from claude_pymc.joint.rows import attach_rows as attach_rows
from claude_pymc.joint.sampling import Sampler as Sampler
from claude_pymc.joint.sampling import sample as sample
from claude_pymc.joint.spec import JointGaussian as JointGaussian
from claude_pymc.review.calibration import Calibration as Calibration
from claude_pymc.review.calibration import calibrate as calibrate
from claude_pymc.review.diagnostics import diagnose as diagnose
from claude_pymc.simulators import simulate as simulate
from claude_pymc.simulators import truth as truth
from claude_pymc.study import Study as Study
from claude_pymc.tables.basis import Polynomial as Polynomial
from claude_pymc.tables.basis import Sine as Sine
from claude_pymc.tables.claude_xml import from_claude_xml as from_claude_xml
from claude_pymc.tables.design import Design as Design
from claude_pymc.tables.statistics import PatternStats as PatternStats
from claude_pymc.tables.table import Table as Table

__version__: str
