r"""Features of Gaussian processes over all descriptors at once, at landmarks.

With landmarks Z and a kernel k, squared-exponential or Matern of smoothness 5/2, the features

    phi(x) = S^(-1/2) V' k(Z, x),    k(Z, Z) = V S V',

have prior covariance phi(x)' phi(x') = k(x, Z) k(Z, Z)^-1 k(Z, x'): that of the process wherever x
or x' is a landmark, less elsewhere. Directions in which the process hardly varies (eigenvalues of
less than 0.02, where the trace is the number of landmarks) are left out. Features are linear, as
every basis is, so that the coefficients are integrated out; lengths are fixed, and kernels of
other lengths are other groups of terms.

Source: Williams, Seeger, Adv. Neural Inf. Process. Syst. 13, 682 (2001); Rasmussen, Williams,
Gaussian Processes for Machine Learning (2006), eq. 4.17.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from claude_pymc.errors import DesignError
from claude_pymc.tables.expansion import Basis, Kernel, Orders
from claude_pymc.tables.memory import refuse_many_terms

LEAST = 0.02  # eigenvalue of a direction that is kept
WORD = "kernel"
FIRST = 1000  # orders of the features, beyond those of any other function

Names = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Landmarks(Basis):
    """Terms of another basis, and features of kernels at landmarks.

    Parameters
    ----------
    basis : Basis
    landmarks : tuple of tuple of float, (landmark, descriptor)
        Where the bounds of a descriptor are at -1 and 1.
    kernels : tuple of (str, tuple of float, str)
        Name of each kernel, its length in each descriptor, and "smooth" (squared-exponential) or
        "rough" (Matern 5/2); its features are the group "kernel NAME".

    Examples
    --------
    >>> from claude_pymc.tables.basis import Polynomial
    >>> both = Landmarks(basis=Polynomial(degree=1), landmarks=((-1.0,), (0.5,)),
    ...                  kernels=(("long", (1.0,), "smooth"),))
    >>> both.terms(["x"]), both.groups(["x"])[2:]
    (('1', 'x', 'long[0]', 'long[1]'), ('kernel long', 'kernel long'))
    """

    basis: Basis
    landmarks: tuple[tuple[float, ...], ...]
    kernels: tuple[tuple[str, tuple[float, ...], str], ...]

    kind: ClassVar[str] = "landmarks"

    def __post_init__(self) -> None:
        """Check lengths and landmarks."""
        sizes = {len(place) for place in self.landmarks}
        sizes |= {len(lengths) for _, lengths, _ in self.kernels}
        known = all(
            kind in CORRELATIONS and all(0 < length < np.inf for length in lengths)
            for _, lengths, kind in self.kernels
        )
        names = [name for name, *_ in self.kernels]
        if len(sizes) != 1 or not known or len(set(names)) < len(names):
            raise DesignError(
                "landmarks, and smooth or rough kernels of different names, with one positive "
                "length for each descriptor",
                f"{len(self.landmarks)} landmarks, kernels {self.kernels!r}",
                "a length of zero, a name twice, or landmarks of other descriptors",
                "give each kernel one length for each descriptor",
            )

    @property
    def domain(self) -> tuple[float, float]:
        """Domain of the other basis."""
        return self.basis.domain

    @property
    def reach(self) -> float:
        """Reach of the other basis."""
        return self.basis.reach

    def steepness(self, n_descriptors: int) -> int:
        """Steepness of the other basis."""
        return self.basis.steepness(n_descriptors)

    def count(self, n_descriptors: int) -> int:
        """Count the terms of the other basis and the features."""
        return self.basis.count(n_descriptors) + sum(self._sizes)

    def orders(self, n_descriptors: int) -> Orders:
        """Orders of the other basis; features use every descriptor."""
        refuse_many_terms(self.count(n_descriptors), n_descriptors, self.basis.kind)
        features = tuple((FIRST + i,) * n_descriptors for i in range(sum(self._sizes)))
        return (*self.basis.orders(n_descriptors), *features)

    def terms(self, descriptors: Sequence[str]) -> Names:
        """Names of the other basis, then "NAME[3]"."""
        return (*self.basis.terms(descriptors), *self._features)

    def groups(self, descriptors: Sequence[str]) -> Names:
        """Name the groups of the other basis, then one for each kernel."""
        return (*self.basis.groups(descriptors), *self._groups)

    @cached_property
    def _features(self) -> Names:
        return tuple(f"{name}[{i}]" for name, i in self._each)

    @cached_property
    def _groups(self) -> Names:
        return tuple(f"{WORD} {name}" for name, _ in self._each)

    @cached_property
    def _each(self) -> list[tuple[str, int]]:
        """Kernel of each feature, and its position there."""
        sized = zip(self.kernels, self._sizes, strict=True)
        return [(name, i) for (name, *_), size in sized for i in range(size)]

    @cached_property
    def _sizes(self) -> list[int]:
        """Count the features of each kernel."""
        return [len(_projection(self.landmarks, *kernel)) for _, *kernel in self.kernels]

    def kernel(self, descriptors: Sequence[str]) -> Kernel:
        """Lengths of the other basis; those of the features are fixed."""
        found = self.basis.kernel(descriptors)
        rows = np.zeros((sum(self._sizes), len(found.lengths)))
        half, frequency = (np.vstack([part, rows]) for part in (found.half, found.frequency))
        return found._replace(half=half, frequency=frequency)

    def expand(self, u: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return phi (row, basis)."""
        at = len(self.basis.orders(u.shape[1]))
        phi = np.empty((at + sum(self._sizes), len(u))) if out is None else out
        self.basis.expand(u, phi[:at])
        places = np.array(self.landmarks)
        for (_, lengths, kind), size in zip(self.kernels, self._sizes, strict=True):
            near = between(places / lengths, u / np.array(lengths), kind)
            np.dot(_projection(self.landmarks, lengths, kind), near, out=phi[at : at + size])
            at += size
        return phi.T

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {
            "kind": self.kind,
            "basis": self.basis.to_dict(),
            "landmarks": [list(place) for place in self.landmarks],
            "kernels": [[name, list(lengths), kind] for name, lengths, kind in self.kernels],
            "proof": self.proof(),
        }

    def proof(self) -> list[float]:
        """Each feature at the mean of the landmarks, moved off every symmetry.

        Where eigenvalues coincide, features are a matter of the linear algebra at hand, and
        coefficients of one machine mean nothing on another.
        """
        place = np.mean(self.landmarks, axis=0) + np.linspace(0.1, 0.23, len(self.landmarks[0]))
        at = len(self.basis.orders(len(place)))
        return [float(value) for value in self.expand(place[None])[0, at:]]

    def refuse_others(self, proof: Sequence[float]) -> None:
        """Refuse the file of a machine whose features are others."""
        own = self.proof()
        if len(own) != len(proof) or not np.allclose(own, proof, atol=1e-6):
            raise DesignError(
                "features as they were when the file was written",
                "others",
                "kernels of equal eigenvalues, whose directions depend on the machine",
                "fit again on this machine",
            )


def smooth(square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel exp(-r^2 / 2) with r^2 = ``square``, and -2 times its slope there."""
    found = np.exp(-0.5 * np.maximum(square, 0.0))
    return found, found


def rough(square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (1 + r + r^2 / 3) exp(-r) with r^2 / 5 = ``square``, and -2 times its slope there."""
    r = np.sqrt(5.0 * np.maximum(square, 0.0))
    fall = np.exp(-r)
    return (1.0 + r + r * r / 3.0) * fall, (5.0 / 3.0) * (1.0 + r) * fall


CORRELATIONS = {"smooth": smooth, "rough": rough}


def between(a: np.ndarray, b: np.ndarray, kind: str) -> np.ndarray:
    """Kernel of points (point, dim), of unit length."""
    square = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2.0 * a @ b.T
    return CORRELATIONS[kind](square)[0]


@lru_cache(64)
def _projection(
    landmarks: tuple[tuple[float, ...], ...], lengths: tuple[float, ...], kind: str
) -> np.ndarray:
    """S^(-1/2) V' (feature, landmark), features that vary most first."""
    places = np.array(landmarks) / lengths
    values, vectors = np.linalg.eigh(between(places, places, kind))
    keep = np.flatnonzero(values > LEAST)[::-1]
    found = (vectors[:, keep] / np.sqrt(values[keep])).T
    # An eigenvector has no sign of its own: its largest entry is positive.
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1)
    return np.asarray(found * np.sign(largest))
