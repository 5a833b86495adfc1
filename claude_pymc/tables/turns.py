"""Sine and cosine of many angles given in turns, several times as fast as numpy's.

The turns are reduced to an eighth on either side of a quarter, which is exact, and the Taylor
series there end below double precision. Numba makes one vectorised loop of it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_S = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(8))
_C = tuple((-1) ** k / math.factorial(2 * k) for k in range(9))


@njit(cache=True, error_model="numpy", nogil=True, fastmath={"contract"})
def sine_and_cosine(turns: np.ndarray, sine: np.ndarray, cosine: np.ndarray) -> None:
    """Fill sin(2 pi u) and cos(2 pi u)."""
    for i in range(len(turns)):
        quarter = np.rint(4.0 * turns[i])
        a = 2.0 * math.pi * (turns[i] - 0.25 * quarter)
        z = a * a
        s, c = _S[7], _C[8]
        s = _S[3] + z * (_S[4] + z * (_S[5] + z * (_S[6] + z * s)))
        s = a * (_S[0] + z * (_S[1] + z * (_S[2] + z * s)))
        c = _C[4] + z * (_C[5] + z * (_C[6] + z * (_C[7] + z * c)))
        c = _C[0] + z * (_C[1] + z * (_C[2] + z * (_C[3] + z * c)))
        side = quarter - 4.0 * np.floor(0.25 * quarter)
        turned = side == 1.0 or side == 3.0
        first, second = (c, s) if turned else (s, c)
        sine[i] = -first if side >= 2.0 else first
        cosine[i] = -second if side == 1.0 or side == 2.0 else second
