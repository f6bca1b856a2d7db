"""Builds the wheel and the sdist, looks into the wheel, and installs both as a user does.

python tests/installing.py

It needs uv (`pip install uv`), git, playwright and Chromium. The sdist is installed under this
Python, the wheel under every other Python from 3.11 to 3.14 that this machine has, each without any
extra; a Python that it does not have is named.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from browser import Visit, chromium
from pictures import check

ROOT = Path(__file__).parent.parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
ABOUT = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}

IMPORT = """
import sys
import micrograd_plus as mp
a = mp.Value(2.0)
(a * a).backward()
assert a.grad == 4.0 and mp.__version__ == {version!r} and "site-packages" in mp.__file__
assert not {{"graphviz", "matplotlib", "numpy", "tqdm"}} & {{*sys.modules}}
"""

FEW = """
draw a*b+tanh(a) a=2 b=-3 -o graph.svg
draw a*b+tanh(a) a=2 b=-3 -o graph.png
step a*b+tanh(a) a=2 b=-3 -o lesson.html
check a*b+tanh(a) a=2 b=-3
"""

MORE = """
explain a*b+tanh(a) a=2 b=-3
worksheet a*b+tanh(a) a=2 b=-3 -o sheet.html
exam --seed 7 --students 2 -o exam.html
playground --out page.html
course build --out course
course build --teacher --out teacher
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tracked = copy_of_the_repository(work / "tree")
        run("uv", "build", "--quiet", "--out-dir", work / "dist", work / "tree")
        (wheel,) = (work / "dist").glob("*.whl")
        (sdist,) = (work / "dist").glob("*.tar.gz")
        check_wheel(wheel, tracked)
        version = wheel.name.split("-")[1]
        this = f"{sys.version_info[0]}.{sys.version_info[1]}"
        use(sdist, Path(sys.executable), work / this, version, FEW + MORE)
        look_at_page(work / this / "used" / "lesson.html")
        for other in VERSIONS:
            if other != this and (python := find(other)):
                use(wheel, python, work / other, version, FEW)
            elif other != this:
                print(f"not tried: there is no Python {other} on this machine")


def copy_of_the_repository(tree: Path) -> list[str]:
    """Copies the files that git knows; returns their names."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    for name in tracked:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)
    return tracked


def check_wheel(wheel: Path, tracked: list[str]) -> None:
    """The wheel has every file of the package and of the notebooks, and nothing else."""
    expected = {name for name in tracked if name.startswith("micrograd_plus/")}
    notebooks = {name for name in tracked if name.startswith("notebooks/")}
    expected |= {f"micrograd_plus/course/{name}" for name in notebooks}
    about = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    expected |= {f"{about}/{name}" for name in ABOUT}
    with zipfile.ZipFile(wheel) as content:
        found = {*content.namelist()}
        metadata = content.read(f"{about}/METADATA").decode()
    problems = [f"missing: {name}" for name in sorted(expected - found)]
    problems += [f"too much: {name}" for name in sorted(found - expected)]
    needed = [
        line for line in re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)
        if "extra ==" not in line
    ]  # fmt: skip
    if len(needed) != 4:
        problems.append(f"without extras it needs {needed}")
    if problems:
        sys.exit(f"{wheel.name}\n" + "\n".join(problems))
    size = wheel.stat().st_size / 1e6
    print(f"{wheel.name}: {len(found)} files, {size:.1f} MB, as it should be")


def use(package: Path, python: Path, folder: Path, version: str, commands: str) -> None:
    """Installs a package without extras in an environment of its own, and runs commands there."""
    run("uv", "venv", "--quiet", "--python", python, folder)
    own = folder / ("Scripts" if os.name == "nt" else "bin")
    run("uv", "pip", "install", "--quiet", "--python", own / "python", package)
    (used := folder / "used").mkdir()
    run(own / "python", "-W", "error", "-c", IMPORT.format(version=version), cwd=used)
    lines = [line.split() for line in commands.splitlines() if line]
    for line in lines:
        run(own / "micrograd-plus", *line, cwd=used)
    for picture in ("graph.svg", "graph.png"):
        check(used / picture)
    print(f"{package.name} under Python {python}: {len(lines)} commands ran")


def look_at_page(page: Path) -> None:
    """The explorer's page, made without any extra, steps to the end of the backward pass."""
    with chromium() as browser:
        visit = Visit(browser)
        shown = visit.go(page)
        shown.keyboard.press("End")
        text = shown.locator("#sentence").inner_text()
        if "∂" not in text:
            sys.exit(f"the last step of the explorer's page shows {text!r}")
        visit.close()
    print("the explorer's page steps through both passes")


def find(version: str) -> Path | None:
    """A Python of this version, on the path or among those of pyenv."""
    found = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found += [str(path) for path in (pyenv / "versions").glob(f"{version}.*/bin/python")]
    for python in filter(None, found):
        asked = "import sys; print('%d.%d' % sys.version_info[:2])"
        answer = subprocess.run([python, "-c", asked], capture_output=True, text=True)
        if answer.stdout.strip() == version:
            return Path(python)
    return None


def run(*command: object, cwd: Path | None = None) -> None:
    """Runs a command; what it said is shown if it fails."""
    text = [str(part) for part in command]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(text, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(text)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
