"""What is assumed, as a frozen record without PyMC in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property

from claude_pymc.errors import ClaudeError, SpecError
from claude_pymc.joint.columns import Columns, varied_terms
from claude_pymc.joint.priors import PRIORS, Prior, ShrinkagePrior, prior_from_dict, prior_to_dict
from claude_pymc.joint.words import choices_in_words, descriptors_in_words
from claude_pymc.tables.design import Design

FORMAT = 2
NOISES = ("normal", "student")
VARYING = "linkage"  # group of what varies the linkage
MANY = 6  # terms of a group that are not listed one by one

LIKELIHOODS = ("conditional", "joint")


@dataclass(frozen=True)
class JointGaussian:
    """The joint Gaussian of descriptors and targets, declared.

    Parameters
    ----------
    design : Design
    prior : ShrinkagePrior, LKJPrior or FlatPrior
    likelihood : "conditional" or "joint"
        "conditional" is p(y | phi(x)), the paper's. "joint" is the Gaussian of (x, y) itself, with
        a mean vector: descriptors enter linearly and may be missing (a design with
        ``missing_descriptors``); for `LKJPrior` and `FlatPrior`.
    varying : sequence of str
        Terms of the basis, or groups of them, along which the linkage of the primary target to the
        nearest cheaper one varies: c(x) = c + sum_m gamma_m psi_m(x).
    noise : "normal" or "student"
        Of the primary target: Student-t with learned degrees of freedom keeps far rows from
        pulling.
    errors : bool
        Rows of the primary target have known measurement errors (`Table.sigma`), which add to the
        learned noise.
    sources : sequence of str
        Sources (`Table.sources`) whose noise of the primary target differs. Predictions of an
        observation have the noise of the first one, unless the candidates are a `Table` that names
        theirs.

    Raises
    ------
    SpecError
        For a prior or likelihood that does not exist, or that the design does not allow.

    Examples
    --------
    >>> design = Design.from_bounds({"x": (0.0, 1.0)}, ["sim", "exp"])
    >>> JointGaussian(design) == JointGaussian.from_json(JointGaussian(design).to_json())
    True
    """

    design: Design
    prior: Prior = field(default_factory=ShrinkagePrior)
    likelihood: str = "conditional"
    varying: tuple[str, ...] = ()
    noise: str = "normal"
    errors: bool = False
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check prior, likelihood and noise."""
        object.__setattr__(self, "varying", varied_terms(self.design, self.varying))
        object.__setattr__(self, "sources", tuple(self.sources))
        if not isinstance(self.prior, tuple(PRIORS.values())):
            raise SpecError(
                "a ShrinkagePrior, an LKJPrior or a FlatPrior",
                f"{self.prior!r}",
                "a class instead of an instance, or a prior of another package",
                "pass for example prior=cp.ShrinkagePrior()",
            )
        if self.likelihood not in LIKELIHOODS:
            raise SpecError(
                f"a likelihood among {list(LIKELIHOODS)}",
                f"{self.likelihood!r}",
                "a typing error, or a likelihood this version does not have",
                "use 'conditional'",
            )
        if self.likelihood == "joint" and not self.design.linear:
            raise SpecError(
                f"the terms {['1', *self.design.descriptors]} under likelihood 'joint'",
                f"{list(self.design.terms)}",
                "a Gaussian of the descriptors themselves is linear in them: x and x^2 are not "
                "jointly Gaussian",
                "use likelihood='conditional', which takes any basis, or Polynomial(degree=1)",
            )
        if self.likelihood == "joint" and isinstance(self.prior, ShrinkagePrior):
            raise SpecError(
                "an LKJPrior or a FlatPrior under likelihood 'joint'",
                f"{self.prior!r}",
                "ShrinkagePrior speaks of targets given descriptors, not of descriptors",
                "pass prior=cp.LKJPrior()",
            )
        if (self.likelihood == "joint") != self.design.missing_descriptors:
            raise SpecError(
                "likelihood 'joint' with a design that has missing_descriptors=True, or neither",
                f"{self.likelihood!r} and {self.design.missing_descriptors}",
                "statistics for p(x, y) count which descriptors a row has, those for p(y | x) "
                "need every descriptor a target uses",
                "give both, or neither",
            )

        refuse_rows(self)
        if self.design.chosen:
            refuse_choosing(self)

    @property
    def needs(self) -> str:
        """Return "rows" if those of the primary target are needed one by one, else "statistics".

        They are for a linkage that varies and for noise that differs between rows. The cost of a
        fit grows with the number of rows of the primary target then, not with the others.
        """
        beyond = self.varying or self.noise != "normal" or self.errors or self.sources
        return "rows" if beyond else "statistics"

    @property
    def nearest(self) -> int:
        """Position of the cheaper target whose linkage to the primary one varies, -1 if none.

        The nearest one of the same quantity, else the nearest one.
        """
        last = len(self.design.targets) - 1
        same = [k for j, k, mean in self.links if j == last and mean]
        return same[-1] if same else last - 1

    @cached_property
    def columns(self) -> Columns:
        """Free entries of the columns that the likelihood sees."""
        design = self.design
        active = [[int(b) for b in row.nonzero()[0]] for row in design.active]
        if self.likelihood == "conditional":
            entries = tuple((j, b) for j, row in enumerate(active) for b in row)
            return Columns(design.targets, design.terms, self.links, entries)
        n = len(design.descriptors)
        links = [(i, k, 0.0) for i in range(n) for k in range(i)]
        for j, row in enumerate(active):
            links += [(n + j, b - 1, 0.0) for b in row if b]
            links += [(n + j, n + k, mean) for i, k, mean in self.links if i == j]
        entries = tuple((i, 0) for i in range(n))
        entries += tuple((n + j, 0) for j, row in enumerate(active) if 0 in row)
        return Columns(design.descriptors + design.targets, design.terms[:1], tuple(links), entries)

    @cached_property
    def links(self) -> tuple[tuple[int, int, float], ...]:
        """Linkages between targets (target, cheaper target, prior mean), row by row.

        The prior mean is 1 for the nearest cheaper target of the same quantity, else 0.
        """
        quantities = self.design.quantities
        found = []
        for j in range(1, len(quantities)):
            same = [k for k in range(j) if quantities[k] == quantities[j]]
            found += [(j, k, float(bool(same) and k == same[-1])) for k in range(j)]
        return tuple(found)

    @cached_property
    def groups(self) -> tuple[tuple[int, str], ...]:
        """Groups of terms by target, (target, group): `ShrinkagePrior` learns a scale for each.

        The constant is left out: its scale is fixed. If scales are tied, a target whose groups the
        first one has learns a "ratio" instead. What varies the linkage is a group of its own.
        """
        names = self.design.basis.groups(self.design.descriptors)
        pairs = dict.fromkeys((j, names[b]) for j, b in self.columns.entries)
        found = [(j, g) for j, g in pairs if g != "constant"]
        varying = [(len(self.design.targets) - 1, VARYING)] if self.varying else []
        if getattr(self.prior, "tied", False):
            first = {g for j, g in found if j == 0}
            tied = [(j, "ratio") if j and g in first else (j, g) for j, g in found]
            found = list(dict.fromkeys(tied))
        return tuple(found + varying)

    @cached_property
    def lengths(self) -> tuple[tuple[int, str], ...]:
        """Lengths of kernels by target, (target, name), that `ShrinkagePrior` learns."""
        names = self.design.basis.kernel(self.design.descriptors)
        groups = self.design.basis.groups(self.design.descriptors)
        learned = set(self.groups)
        used: dict[int, list[str]] = {}
        for b, i in zip(*names.half.nonzero(), strict=True):
            used.setdefault(int(b), []).append(names.lengths[i])
        found = {
            (j, name)
            for j, b in self.columns.entries
            if (j, groups[b]) in learned
            for name in used.get(b, ())
        }
        return tuple(sorted(found, key=lambda pair: (pair[0], names.lengths.index(pair[1]))))

    def describe(self) -> str:
        """Say the model in words and equations, structural zeros and scaling included."""
        design = self.design
        lines = ["Model (each line: a target given the cheaper ones)"]
        if self.likelihood == "joint":
            names = ", ".join(design.descriptors)
            lines.append(f"  ({names}) ~ Gaussian with free mean and covariance; may be missing")
        for j, target in enumerate(design.targets):
            parts = [
                f"{'c' if len(self.links) == 1 else f'c[{target}, {design.targets[k]}]'}"
                f"{'(x)' if self.varies(j, k) else ''} * {design.targets[k]}"
                for i, k, _ in self.links
                if i == j
            ]
            if design.corrections[j]:
                among = "chosen by evidence among " if target in design.chosen else ""
                parts.append(f"R({among}{self._listed(design.corrections[j])})")
            lines.append(f"  {target} = {' + '.join([*parts, 'noise'])}")
        lines += self._rows_in_words()
        lines += choices_in_words(design, varying=bool(self.varying))
        lines.append("Structural zeros (terms a target does not depend on, given the cheaper ones)")
        for target, chosen in zip(design.targets, design.corrections, strict=True):
            zeros = tuple(term for term in design.terms if term not in chosen)
            lines.append(f"  {target}: {self._listed(zeros) or 'none'}")
        lines.append("Scaling")
        units = dict(design.units)
        for j, target in enumerate(design.targets):
            rule = "log " if design.transforms[j] == "log" else ""
            unit = f" [{units[target]}]" if target in units else ""
            lines.append(
                f"  ({rule}{target}{unit} - {design.location[j]:.4g}) / {design.scale[j]:.4g}"
            )
        lines += [f"  {line}" for line in descriptors_in_words(design)]
        lines.append(f"Prior ({self.prior.kind}, on the scaled targets)")
        if self.likelihood == "joint" and self.prior.proper:
            lines.append("  here: x counts as targets, terms are the constants")
        lines += [f"  {line}" for line in self.prior.describe().split("\n")]
        if self.needs == "rows" and isinstance(self.prior, ShrinkagePrior):
            varying, freedom = self.prior.describe_rows().split("\n")
            lines += [f"  {varying}"] if self.varying else []
            lines += [f"  {freedom}"] if self.noise == "student" else []
        if self.prior.kind == "shrinkage" and self.lengths:
            kernel = design.basis.kernel(design.descriptors)
            start, end = design.basis.domain
            lines.append(
                f"  kernels: t is the amplitude; lengths log-uniform, {kernel.shortest:.3g} .. "
                f"{kernel.longest:.3g} where a descriptor runs over {start:g} .. {end:g}"
            )
        return "\n".join(lines)

    def varies(self, target: int, cheaper: int) -> bool:
        """Say whether the linkage of two targets varies with x."""
        last = len(self.design.targets) - 1
        return bool(self.varying) and target == last and cheaper == self.nearest

    def _rows_in_words(self) -> list[str]:
        """Say what makes this specification need rows, and what that costs."""
        if self.needs == "statistics":
            return []
        primary, found = self.design.targets[-1], []
        if self.varying:
            found.append(f"c(x) varies with {self._listed(self.varying)}")
        if self.noise == "student":
            found.append("Student-t noise, degrees of freedom learned")
        if self.errors:
            found.append("known measurement errors added to the learned noise")
        if self.sources:
            found.append(f"noise differs by source: {', '.join(self.sources)}")
        cost = f"  needs the rows of {primary}: the cost of a fit grows with their number"
        return [f"Noise and linkage of {primary}", *(f"  {line}" for line in found), cost]

    def _listed(self, terms: tuple[str, ...]) -> str:
        """Terms by name; groups of many by the name of the group."""
        design = self.design
        groups = design.basis.groups(design.descriptors)
        left = list(terms)
        for group in dict.fromkeys(groups):
            members = [t for t, g in zip(design.terms, groups, strict=True) if g == group]
            if len(members) > MANY and set(members) <= set(left):
                left[left.index(members[0])] = f"{group} ({len(members)} terms)"
                left = [term for term in left if term not in members]
        return ", ".join(left)

    def to_json(self) -> str:
        """Return the specification as JSON text."""
        return json.dumps(
            {
                "format": FORMAT,
                "model": "joint_gaussian",
                "likelihood": self.likelihood,
                "prior": prior_to_dict(self.prior),
                "rows": {
                    "varying": list(self.varying),
                    "noise": self.noise,
                    "errors": self.errors,
                    "sources": list(self.sources),
                },
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
            prior, rows = prior_from_dict(data["prior"]), data.get("rows", {})
            return cls(design, prior, data["likelihood"], **rows)
        except SpecError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SpecError(
                "JSON written by JointGaussian.to_json",
                error.got if isinstance(error, ClaudeError) else f"{type(error).__name__}: {error}",
                "another file, or one edited by hand",
                "write the specification again",
            ) from error


def refuse_rows(spec: JointGaussian) -> None:
    """Refuse combinations of noise and linkage that do not exist."""
    if spec.noise not in NOISES:
        raise SpecError(
            f"a noise among {list(NOISES)}", f"{spec.noise!r}", "a typing error", "use 'normal'"
        )
    if "1" in spec.varying:
        raise SpecError(
            "varying without the constant",
            f"{list(spec.varying)}",
            "c(x) has a constant of its own",
            "leave '1' out",
        )
    if spec.varying and len(spec.design.targets) < 2:
        raise SpecError(
            "a cheaper target, if the linkage is to vary",
            f"the only target {spec.design.targets[0]!r}",
            "a linkage is between two targets",
            "leave varying out",
        )
    if len(set(spec.sources)) < len(spec.sources) or len(spec.sources) == 1:
        raise SpecError(
            "no sources, or two and more that differ",
            f"{list(spec.sources)}",
            "noise cannot differ between a source and itself",
            "name each source once",
        )
    if spec.needs == "rows" and not isinstance(spec.prior, ShrinkagePrior):
        raise SpecError(
            "a ShrinkagePrior, if the linkage varies or noise differs between rows",
            f"{spec.prior!r}",
            "other priors speak of one precision matrix, which does not exist then",
            "leave the prior out",
        )


def refuse_choosing(spec: JointGaussian) -> None:
    """Refuse specifications whose terms cannot be chosen by evidence."""
    prior = spec.prior
    if not isinstance(prior, ShrinkagePrior) or prior.tied or spec.likelihood != "conditional":
        raise SpecError(
            "an untied ShrinkagePrior and the likelihood 'conditional' with corrections='auto'",
            f"{prior!r} and {spec.likelihood!r}",
            "sets of terms are compared target by target, with scales of their own",
            "leave prior and likelihood out, or name the corrections",
        )


def refuse_chosen(spec: JointGaussian, what: str) -> None:
    """Refuse a specification whose terms are chosen by evidence, where one set is needed."""
    if spec.design.chosen:
        raise SpecError(
            f"corrections by name for {what}",
            f"corrections 'auto' of {list(spec.design.chosen)}",
            "sets of terms are compared by exact draws, and the posterior is an average over them",
            "use cp.sample(spec, stats), or a design with one of the sets that "
            "JointPosterior.ranking lists",
        )
