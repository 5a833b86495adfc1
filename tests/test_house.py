"""The order of rooms, light imports, a quick command, and a tidy repository."""

import ast
import re
import shutil
import statistics
import subprocess
import sys
import time
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from pace import within

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "claude_pymc"
NAME = PACKAGE.name

# A room may import rooms of a lower number; rooms of one number do not know each other.
ROOMS = {
    "errors": 0,
    "notation": 0,
    "protocols": 0,
    "datasets": 0,
    "tables": 1,
    "joint": 2,
    "piecewise": 2,
    "simulators": 2,
}
ROOMS |= {
    "review": 3,
    "acquisition": 3,
    "campaign": 4,
    "study_file": 4,
    "study": 5,
    "run": 6,
    "printing": 7,
    "reporting": 7,
    "cli": 8,
    "__main__": 9,
}
MAY_DEFER = ("", "cli")  # the root loads its public names lazily, the command its heavy verbs
# What needs an optional dependency, or PyMC, which takes seconds to load, is imported where it is
# used; the edge counts.
DEFERRED = {
    ("claude_pymc.joint.sampling", "claude_pymc.joint.nuts"),
    ("claude_pymc.joint.nuts", "claude_pymc.joint.numpyro_backend"),
    ("claude_pymc.tables.basis", "claude_pymc.tables.turns"),
}
HEAVY = "pandas xarray pymc pytensor arviz matplotlib scipy numba nutpie jax".split()
MAX_LINES = 400

TOP_LEVEL = set(
    "pyproject.toml README.md claude_pymc models notebooks tests data "
    "ARCHITECTURE.md CHANGELOG.md CITATION.cff CONTRIBUTING.md LICENSE Makefile constraints.txt "
    ".ci .gitattributes .gitignore .python-version".split()
)
# Written in pieces, so that this file does not match itself.
PRIVATE = re.compile(
    "|".join(
        [
            *("index" + "-url", "/sim" + "ple/", "pypi" + r"\.org", "python" + "hosted"),
            *("/ro" + "ot/", r"/ho" + r"me/\w", "/Us" + r"ers/\w", "/wo" + "rk/main"),
        ]
    )
)


def room_of(module: str) -> str:
    """Return the room of a dotted module name; '' is the root of the package."""
    return [*module.split("."), ""][1]


def rank_of(module: str) -> int | None:
    """Return the place of a module in the order of rooms; None if it has none."""
    room = room_of(module)
    return ROOMS.get(room, 0 if room.startswith("_") and room != "__main__" else None)


def modules_of(package: Path) -> dict[str, Path]:
    """Return the files of a package by dotted name; a folder's name is that of its __init__."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(node: ast.AST, module: str, path: Path, known: dict[str, Path]) -> list[str]:
    """Return the in-package modules that one syntax node imports."""
    targets: list[str] = []
    if isinstance(node, ast.Import):
        targets = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        here = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
        base = ".".join(filter(None, [base, node.module]))
        names = [f"{base}.{alias.name}" for alias in node.names]
        targets = [name if name in known else base for name in names]
    elif isinstance(node, ast.Call) and node.args:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        called = node.func.id if isinstance(node.func, ast.Name) else called
        if called in ("import_module", "__import__"):
            name = node.args[0].value if isinstance(node.args[0], ast.Constant) else NAME
            targets = [NAME if str(name).startswith(".") else str(name)]
    return [target for target in targets if target.split(".")[0] == NAME]


def faults_of(package: Path) -> list[str]:
    """Return every import in a package that runs against the order of rooms."""
    known, faults, graph = modules_of(package), [], {}
    for module, path in known.items():
        if room_of(module) == "":
            continue  # the root names everything, lazily
        graph[module] = set()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        inner = {n for f in ast.walk(tree) if isinstance(f, functions) for n in ast.walk(f)}
        if rank_of(module) is None:
            faults.append(f"{module}: is in no known room")
        for node in ast.walk(tree):
            for target in imported(node, module, path, known):
                rank, below, edge = rank_of(module), rank_of(target), f"{module} -> {target}"
                deferred = (module, target) in DEFERRED
                if node in inner and room_of(module) not in MAY_DEFER and not deferred:
                    faults.append(f"{edge}: deferred into a function")
                if room_of(target) == "":
                    faults.append(f"{edge}: imports the root of the package")
                elif room_of(target) != room_of(module) and rank is not None:
                    if below is None or below > rank or (below == rank and rank > 0):
                        faults.append(f"{edge}: against the order of rooms")
                if target in known and not (node in inner and room_of(module) in MAY_DEFER):
                    graph[module].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        faults.append("cycle: " + " -> ".join(error.args[1]))
    return faults


def test_imports_follow_the_order_of_rooms() -> None:
    assert len(modules_of(PACKAGE)) > 3, "no modules found: is the package where it should be?"
    assert faults_of(PACKAGE) == []


GOOD = {
    "__init__.py": "from claude_pymc.cli import main",
    "errors.py": "",
    "_names.py": "from claude_pymc import errors",
    "tables/__init__.py": "from .table import Table",
    "tables/table.py": "from . import basis\nfrom .. import errors\nimport pandas",
    "tables/basis.py": "def f():\n    import scipy",
    "joint/model.py": "from claude_pymc.tables import Table",
    "cli.py": "def main():\n    from claude_pymc.joint import model",
}


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("tables/bad.py", "import claude_pymc.joint.model", "against the order"),
        ("joint/bad.py", "from ..review import plots", "against the order"),
        ("review/bad.py", "from claude_pymc.acquisition import propose", "against the order"),
        ("acquisition/bad.py", "from ..review.plots import draw", "against the order"),
        ("errors.py", "from claude_pymc.tables import basis", "against the order"),
        ("_names.py", "if TYPE_CHECKING:\n    from .tables import Table", "against the order"),
        ("joint/bad.py", "import claude_pymc as cp", "imports the root"),
        ("joint/bad.py", "from claude_pymc import Table", "imports the root"),
        ("joint/bad.py", "from .. import Table", "imports the root"),
        ("joint/bad.py", "def f():\n    from .model import g", "deferred"),
        ("joint/bad.py", "f = lambda m: importlib.import_module(m)", "deferred"),
        ("tables/basis.py", "from .table import Table", "cycle"),
        ("tables/basis.py", "from claude_pymc.tables import Table", "cycle"),
        ("attic/old.py", "", "no known room"),
    ],
)
def test_the_checker_fires(tmp_path: Path, path: str, source: str, fault: str) -> None:
    for name, text in {**GOOD, path: source}.items():
        file = tmp_path / NAME / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert any(fault in line for line in faults_of(tmp_path / NAME))
    (tmp_path / NAME / path).write_text(GOOD.get(path, ""), encoding="utf-8")
    if fault != "no known room":
        assert faults_of(tmp_path / NAME) == []


def test_importing_the_package_is_light() -> None:
    code = f"import sys, {NAME}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.speed
def test_help_is_quick() -> None:
    beside = Path(sys.executable).with_name("claude-pymc")
    command = str(beside) if beside.exists() else shutil.which("claude-pymc")
    assert command, "the command claude-pymc is not installed: run `make install`"
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([command, "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    assert within(statistics.median(seconds), 0.7), seconds


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Return the files of the repository: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"git does not list the files of the repository: {error}")
    return [Path(name) for name in run.stdout.split("\0") if name and (ROOT / name).is_file()]


def private_lines(path: Path) -> list[str]:
    """Return the lines of a text file that name a registry's host or a machine's path."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []
    return [f"{path.name}:{i}: {line}" for i, line in enumerate(lines, 1) if PRIVATE.search(line)]


def test_no_file_names_a_host_or_a_machine(files: list[Path]) -> None:
    assert [line for path in files for line in private_lines(ROOT / path)] == []


def test_the_search_for_hosts_and_machines_fires(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("fine\npip --index" + "-url x\ncd /ho" + "me/ada\n", encoding="utf-8")
    assert [line.split(":")[1] for line in private_lines(path)] == ["2", "3"]


def test_the_top_level_is_short(files: list[Path]) -> None:
    assert {path.parts[0] for path in files} - TOP_LEVEL == set()


def test_files_of_the_package_are_short() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}
