"""The repository is what its README says."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import micrograd_plus

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_the_readme_begins_with_the_two_commands():
    commands = re.findall(r"^pip install .*$", README, re.MULTILINE)
    assert commands[:2] == [
        'pip install -e ".[all]" && micrograd-plus demo',
        'pip install -e ".[test]" && pytest',
    ]


def test_the_extras_are_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {"fast", "plot", "notebooks", "test", "dev", "all"}
    assert wanted <= extras["optional-dependencies"].keys()
    assert extras["version"] == micrograd_plus.__version__


def test_the_files_that_the_readme_names_are_there() -> None:
    files = re.findall(r"^\| `([\w/]+\.py)` \|", README, re.MULTILINE)
    assert len(files) >= 10
    missing = [name for name in files if not (ROOT / "micrograd_plus" / name).is_file()]
    assert not missing


def test_the_readmes_count_of_primitives_is_true():
    from micrograd_plus.ops import TABLE

    assert f"| {len(TABLE)} primitives" in README


def test_what_the_readme_links_to_is_there():
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_public_name_is_there():
    for name in micrograd_plus.__all__:
        assert getattr(micrograd_plus, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'tenh'"):
        micrograd_plus.tenh  # noqa: B018


def test_every_lazy_name_is_public():
    import builtins

    hides_a_builtin = set(micrograd_plus._ROOM_OF) & set(dir(builtins))
    assert hides_a_builtin == {"compile"}
    assert set(micrograd_plus._ROOM_OF) - hides_a_builtin < set(micrograd_plus.__all__)


def test_a_star_import_hides_no_builtin():
    import builtins

    assert not set(micrograd_plus.__all__) & set(dir(builtins))


def test_the_engine_can_be_held_in_the_head() -> None:
    engine = (ROOT / "micrograd_plus" / "engine.py").read_text(encoding="utf-8")
    assert len(engine.splitlines()) <= 220
