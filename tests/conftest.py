"""Shared by all tests: one BLAS thread, generators with fixed seeds, the reference values."""

import json
import os
import shutil
import zlib
from pathlib import Path

import pytest

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  (reads the number of threads when it is loaded)

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
NO_BROWSER = "no chromium and chromedriver (Debian: chromium, chromium-driver)"


@pytest.fixture
def rng(request):
    """A generator whose seed is the name of the test, parameters included."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def synchronous():
    """Dask without workers: errors come as they are, and patches are seen."""
    import dask

    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="session")
def reference():
    """Log-likelihoods of the method's published implementation, by name of the case."""
    path = Path(__file__).resolve().parents[2] / "shared/reference/claude_reference.json"
    if not path.is_file():
        pytest.skip("reference values are only in development")
    return {case["name"]: case for case in json.loads(path.read_text(encoding="utf-8"))}


@pytest.fixture(scope="session")
def browser():
    """A browser without a window, whose messages are kept."""
    if not CHROMIUM or not DRIVER:
        if os.environ.get("CI_HAS_BROWSER"):
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-dev-shm-usage",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def toy():
    return _picture_cases().study("toy_pair")


@pytest.fixture(scope="session")
def mixture():
    return _picture_cases().study("perovskite")


@pytest.fixture(scope="session")
def magnet():
    return _picture_cases().study("magnet")


@pytest.fixture(scope="session")
def elements():
    return _picture_cases().study("elements_volume")


@pytest.fixture(scope="session")
def routes():
    return _picture_cases().routes()


def _picture_cases():
    """Load the package only where a picture is drawn."""
    import picture_cases

    return picture_cases
