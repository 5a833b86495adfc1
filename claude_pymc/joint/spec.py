"""What is assumed, as a frozen record without PyMC in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from claude_pymc.errors import ClaudeError, SpecError
from claude_pymc.joint.priors import LKJPrior, Prior, ShrinkagePrior, prior_from_dict, prior_to_dict
from claude_pymc.tables.design import Design

FORMAT = 1


@dataclass(frozen=True)
class JointGaussian:
    """The joint Gaussian of descriptors and targets, declared.

    Parameters
    ----------
    design : Design
    prior : ShrinkagePrior or LKJPrior
    likelihood : "conditional"
        p(y | phi(x)), the paper's.

    Examples
    --------
    >>> design = Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"])
    >>> JointGaussian(design) == JointGaussian.from_json(JointGaussian(design).to_json())
    True
    """

    design: Design
    prior: Prior = field(default_factory=ShrinkagePrior)
    likelihood: str = "conditional"

    needs = "statistics"

    def __post_init__(self) -> None:
        """Check prior and likelihood."""
        if not isinstance(self.prior, ShrinkagePrior | LKJPrior):
            raise SpecError(
                "a ShrinkagePrior or an LKJPrior",
                f"{self.prior!r}",
                "a class instead of an instance, or a prior of another package",
                "pass for example prior=cp.ShrinkagePrior()",
            )
        if self.likelihood != "conditional":
            raise SpecError(
                "likelihood 'conditional'",
                f"{self.likelihood!r}",
                "a typing error, or a likelihood this version does not have",
                "use 'conditional'",
            )

    @property
    def links(self) -> tuple[tuple[int, int, float], ...]:
        """Linkages (target, cheaper target, prior mean), row by row.

        The prior mean is 1 for the nearest cheaper target of the same quantity, else 0.
        """
        quantities = self.design.quantities
        found = []
        for j in range(1, len(quantities)):
            same = [k for k in range(j) if quantities[k] == quantities[j]]
            found += [(j, k, float(bool(same) and k == same[-1])) for k in range(j)]
        return tuple(found)

    def describe(self) -> str:
        """Say the model in words and equations, structural zeros and scaling included."""
        design = self.design
        lines = ["Model (each line: a target given the cheaper ones)"]
        for j, target in enumerate(design.targets):
            parts = [f"c * {design.targets[k]}" for i, k, _ in self.links if i == j]
            if design.corrections[j]:
                parts.append(f"R({', '.join(design.corrections[j])})")
            lines.append(f"  {target} = {' + '.join([*parts, 'noise'])}")
        lines.append("Structural zeros (terms a target does not depend on, given the cheaper ones)")
        for target, chosen in zip(design.targets, design.corrections, strict=True):
            zeros = [term for term in design.terms if term not in chosen]
            lines.append(f"  {target}: {', '.join(zeros) or 'none'}")
        lines.append("Scaling")
        units = dict(design.units)
        for j, target in enumerate(design.targets):
            rule = "log " if design.transforms[j] == "log" else ""
            unit = f" [{units[target]}]" if target in units else ""
            lines.append(
                f"  ({rule}{target}{unit} - {design.location[j]:.4g}) / {design.scale[j]:.4g}"
            )
        for name, (low, high) in zip(design.descriptors, design.bounds, strict=False):
            start, end = design.basis.domain
            lines.append(f"  {name}: {low:g} .. {high:g} mapped to {start:g} .. {end:g}")
        lines.append(f"Prior ({self.prior.kind}, on the scaled targets)")
        return "\n".join([*lines, *(f"  {line}" for line in self.prior.describe().split("\n"))])

    def to_json(self) -> str:
        """Return the specification as JSON text."""
        return json.dumps(
            {
                "format": FORMAT,
                "model": "joint_gaussian",
                "likelihood": self.likelihood,
                "prior": prior_to_dict(self.prior),
                "design": self.design.to_dict(),
            },
            indent=2,
        )

    @classmethod
    def from_json(cls, text: str) -> JointGaussian:
        """Rebuild a specification from :meth:`to_json`."""
        try:
            data = json.loads(text)
            if data["format"] > FORMAT:
                raise SpecError(
                    f"a specification of format {FORMAT} or older",
                    f"format {data['format']}",
                    "it was written by a newer version of claude_pymc",
                    "update claude_pymc",
                )
            design = Design.from_dict(data["design"])
            return cls(design, prior_from_dict(data["prior"]), data["likelihood"])
        except ClaudeError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SpecError(
                "JSON written by JointGaussian.to_json",
                f"{type(error).__name__}: {error}",
                "another file, or one edited by hand",
                "write the specification again",
            ) from error
