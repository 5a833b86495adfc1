"""Files of the published implementation, written by hand."""

import math

import numpy as np

QUADRATIC = {1: [[0], [1], [2]], 2: [[0, 0], [1, 0], [0, 1], [1, 1]]}


def element(tag, text, **attributes):
    return f"   <{tag}{''.join(f' {k}="{v}"' for k, v in attributes.items())}>{text}</{tag}>\n"


def parameter_text(exponents, active):
    """The parameter file; active is boolean (target, term)."""
    d, p = np.shape(active)
    parts = [element("NumberDescriptor", len(exponents[0]))]
    parts += [element("DegreePolynomialDescriptor", " ".join(map(str, e))) for e in exponents]
    parts += [element("DomainDescriptor", "0.0 7.0", index=i) for i in range(len(exponents[0]))]
    parts += [element("NumberTarget", d)]
    for j in range(d):
        powers = " ".join(str(int(j == k)) for k in range(d))
        parts.append(element("DegreePolynomialTarget", powers))
    for j in range(d):
        for b in range(p + d):
            word = "Active" if b >= p or active[j][b] else "Inactive"
            parts.append(element(f"{word}Variable", b, index=j))
    parts.append(element("ModeInitialPrecisionMatrixMax", 0))
    parts.append(element("OffsetInitialPrecisionMatrixMax", 0.1))
    options = element("Method", "L-BFGS-B") + element("MaxIter", 1000) + element("Disp", False)
    parts.append(element("MinimizationMethod", f"\n{options}   "))
    return f"<CLAUDEModelParameter>\n{''.join(parts)}</CLAUDEModelParameter>\n"


def triangle(matrix):
    size = len(matrix)
    return "".join(
        element("Element", repr(float(matrix[i][j])), irow=i, icol=j)
        for i in range(size)
        for j in range(i, size)
    )


def covariance_text(table, exponents, precision=None):
    """The covariance file, its means updated row by row as there."""
    d = table.y.shape[1]
    found = {}
    for x, y in zip(table.x, table.y, strict=True):
        z = [math.prod(v**n for v, n in zip(x, e, strict=True)) for e in exponents] + list(y)
        term = np.eye(len(z))
        for i, a in enumerate(z):
            for j, b in enumerate(z):
                if not math.isnan(a) and not math.isnan(b):
                    term[i, j] = a * b
        pattern = tuple(not math.isnan(v) for v in y)
        n, mean = found.get(pattern, (0, 0.0))
        found[pattern] = (n + 1, term / (n + 1) + mean * n / (n + 1))
    parts = [element("NumberAvailablePattern", len(found))]
    for i, (pattern, (n, mean)) in enumerate(found.items()):
        inner = element("AvailablePattern", " ".join(map(str, pattern)))
        inner += element("NumberSampleAvailablePattern", n) + triangle(mean)
        parts.append(element("CovarianceMatrix", f"\n{inner}   ", index=i))
    size = len(exponents) + d
    best = np.eye(size) if precision is None else precision
    parts.append(element("PrecisionMatrixMax", f"\n{triangle(best)}   "))
    parts.append(element("Coefficient", "\n" + element("Component", 0.5, itarget=0, idescriptor=0)))
    parts.append(element("WidthMonteCarlo", 100.0, index=0))
    parts.append(element("NumberSampleMonteCarlo", 500))
    parts.append(element("ModeAcquisitionFunction", "0 1"))
    parts.append(element("IndexTargetPrimary", d - 1))
    for j, y in enumerate(table.y.T):
        largest = float(np.nanmax(y)) if np.isfinite(y).any() else -1e16
        parts.append(element("TargetMax", largest, index=j))
    return f"<CLAUDECovarianceMatrix>\n{''.join(parts)}</CLAUDECovarianceMatrix>\n"


def write_files(folder, parameters, covariance):
    """Write both files and return their paths."""
    paths = folder / "parameter_model.xml", folder / "covariance_matrix.xml"
    for path, text in zip(paths, (parameters, covariance), strict=True):
        path.write_text(text)
    return paths


def replaced(text, old, new, count=1):
    """The text with a change, which must be one."""
    assert old in text
    return text.replace(old, new, count)
