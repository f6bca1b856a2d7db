"""Builds the course as a static site: the notebooks run in the browser, with nothing installed.

The site is JupyterLite with its Pyodide kernel: CPython compiled to WebAssembly. Everything that
the browser loads is in the folder, so any file server can serve it, and no other host is asked.
The Python runtime comes from the npm package `pyodide`, and the other parts from PyPI.
"""

from __future__ import annotations

import ast
import hashlib
import html
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, NamedTuple
from urllib.parse import quote

from ..support.files import make_folder, write_atomically
from ..support.words import many
from . import source
from .build import for_students, opening

_RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
_LOCK = "pyodide-lock.json"
_FROM_THE_LOCK = ("ipython", "jedi", "micropip", "tqdm")
"""What the kernel and `fit` import, in the versions that Pyodide was tested with."""
_FROM_PYPI = ("comm", "ipython-pygments-lexers")
"""What the kernel imports beside them."""
_KERNEL = "jupyterlite-pyodide-kernel"
_PACKAGE = Path(__file__).parents[1]
_RECORD = ".micrograd-plus-site.json"
"""The file in the output folder that lists what was written there."""
_NEEDS = {
    r"plot_\w+": "matplotlib",
    "digits|iris": "scikit-learn",
    "interact": "ipywidgets",
    "compile|fit|sweep": "llvmlite",
    "tolist": "numpy",
}
"""Names in `micrograd_plus`, as regular expressions, and the library that each needs.

`tolist` is a method of NumPy's arrays, which a compiled function gives where NumPy is installed.
"""
_IN_THE_SITE = {"micrograd_plus", "IPython", "tqdm"}


_TO_NOTEBOOK = """<head>
    <script>
      // A link in one notebook to another comes here.
      const path = new URLSearchParams(location.search).get("path") ?? "";
      if (path.endsWith(".ipynb")) location.replace(`../notebooks/index.html?path=${path}`);
    </script>"""


class Site(NamedTuple):
    """A site that was built: its folder, the number of its files, and their size in bytes."""

    folder: Path
    files: int
    size: int


def build_site(out: str | Path) -> Site:
    """Writes the site into the folder `out`, which is made, or whose site is replaced.

    What somebody has put beside an earlier site, such as `.git`, stays. ValueError if the folder
    has other files and no site. ImportError without JupyterLite; FileNotFoundError without the npm
    package pyodide; OSError if pip cannot fetch a wheel.
    """
    out = Path(out)
    make_folder(out)
    if any(out.iterdir()) and not _written_before(out):
        raise ValueError(
            f"{out} is neither empty nor an earlier site: name another folder with --out"
        )
    extension = _kernel_extension()
    runtime = _pyodide()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        _write_runtime(runtime, extension, work / "static" / "pyodide")
        rows = [*_write_notebooks(work / "files")]
        _run_jupyterlite(work, extension)
        made = work / "site"
        _write_start_page(made, rows)
        sizes = [path.stat().st_size for path in made.rglob("*") if path.is_file()]
        _replace(out, made)
    return Site(out, len(sizes), sum(sizes))


def _written_before(out: Path) -> list[Path]:
    """The files and folders of an earlier site; none in another folder."""
    try:
        names = json.loads((out / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        names = None
    return [path for path in out.iterdir() if path.name in names] if isinstance(names, list) else []


def _replace(out: Path, made: Path) -> None:
    """Moves a site into its folder, in place of the earlier one."""
    for path in _written_before(out):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    names = [path.name for path in made.iterdir()]
    write_atomically(out / _RECORD, json.dumps([_RECORD, *sorted(names)]))
    for name in names:
        shutil.move(made / name, out / name)


# ---- the parts that are found on this machine


def _kernel_extension() -> Path:
    """The folder of JupyterLite's kernel, as its package installs it."""
    try:
        importlib.metadata.distribution("jupyterlite-core")
        installed = importlib.metadata.files(_KERNEL) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(
            'the site is built by JupyterLite: pip install "micrograd-plus[site]"'
        ) from error
    found = next(path for path in installed if path.parts[-2:] == ("static", "style.js"))
    return Path(str(found.locate())).resolve().parents[1]


def pyodide_package() -> Path | None:
    """Where the npm package `pyodide` is: in $NODE_PATH, in this folder or in one above it."""
    here = Path.cwd()
    named = [Path(folder) for folder in os.environ.get("NODE_PATH", "").split(os.pathsep) if folder]
    around = [folder / "node_modules" for folder in (here, *here.parents)]
    return next((p for f in (*named, *around) if (p := f / "pyodide").is_dir()), None)


def _pyodide() -> Path:
    found = pyodide_package()
    if found is None:
        raise FileNotFoundError(
            "Python for the browser comes from the npm package pyodide, which was not found: run "
            "npm install pyodide@314 in this folder, or name its node_modules in $NODE_PATH"
        )
    return found


# ---- Python in the browser


def _write_runtime(runtime: Path, extension: Path, folder: Path) -> None:
    """Writes Python, all wheels, and the list of them that Pyodide reads."""
    folder.mkdir(parents=True)
    for name in _RUNTIME:
        shutil.copyfile(runtime / name, folder / name)
    lock = json.loads((runtime / _LOCK).read_text(encoding="utf-8"))
    python = ".".join(lock["info"]["python"].split(".")[:2])
    _fetch_wheels([*_pinned(lock["packages"]), *_FROM_PYPI], python, folder)
    for wheel in (extension / "static" / "pypi").glob("*.whl"):
        if not wheel.name.startswith("widgetsnbextension"):
            shutil.copyfile(wheel, folder / wheel.name)
    _write_wheel(folder)
    packages = {_name(wheel): _entry(wheel) for wheel in sorted(folder.glob("*.whl"))}
    content = json.dumps({"info": lock["info"], "packages": packages}, indent=1)
    (folder / _LOCK).write_text(content, encoding="utf-8")


def _pinned(packages: Mapping[str, Any]) -> list[str]:
    """The requirements of the packages of Pyodide's own list, and of what they depend on."""
    wanted, pinned = [*_FROM_THE_LOCK], dict[str, str]()
    while wanted:
        name = _normalized(wanted.pop())
        if name not in pinned:
            pinned[name] = f"{name}=={packages[name]['version']}"
            wanted += packages[name]["depends"]
    return sorted(pinned.values())


def _fetch_wheels(requirements: Iterable[str], python: str, folder: Path) -> None:
    """Fetches wheels of pure Python by pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
    command += [f"--python-version={python}", f"--dest={folder}", *requirements]
    _run(command, "pip could not fetch the wheels of the site")


def _write_wheel(folder: Path) -> None:
    """Writes this package as a wheel, without the notebooks."""
    version = importlib.metadata.version("micrograd-plus")
    path = folder / f"micrograd_plus-{version}-py3-none-any.whl"
    about = f"micrograd_plus-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: micrograd-plus\nVersion: {version}\n"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in sorted(_PACKAGE.rglob("*")):
            name = file.relative_to(_PACKAGE.parent)
            if file.is_file() and not {"__pycache__", "notebooks"} & {*name.parts}:
                wheel.write(file, name)
        wheel.writestr(f"{about}/METADATA", metadata)
        wheel.writestr(f"{about}/WHEEL", tags)


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _name(wheel: Path) -> str:
    return _normalized(wheel.name.split("-")[0])


def _entry(wheel: Path) -> dict[str, Any]:
    """What Pyodide has to know of a wheel."""
    return {
        "name": _name(wheel), "version": wheel.name.split("-")[1], "file_name": wheel.name,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "install_dir": "site",
        "package_type": "package", "imports": [], "depends": [], "unvendored_tests": False,
    }  # fmt: skip


# ---- the notebooks


class Row(NamedTuple):
    """A notebook on the start page."""

    path: str
    title: str
    time: str
    needs: list[str]  # for each code cell, each library that does not run in the browser


def _write_notebooks(folder: Path) -> Iterator[Row]:
    """Writes the student's edition, and the pictures; yields a row for each notebook."""
    _copy_figures(source.folder() / "figures", folder / "figures")
    for path in source.notebooks():
        notebook = for_students(path.name, source.read(path))
        (folder / path.name).write_text(json.dumps(notebook), encoding="utf-8")
        code = [source.text(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
        title, time = opening(notebook)
        yield Row(path.name, title or path.stem, time, [need for c in code for need in _needs(c)])


def _copy_figures(figures: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for path in figures.iterdir():
        content = path.read_bytes()
        if path.suffix == ".svg":  # of which JupyterLite shows only Latin characters
            content = content.decode().encode("ascii", "xmlcharrefreplace")
        (folder / path.name).write_bytes(content)


def _needs(code: str) -> set[str]:
    """The libraries that a cell needs, and that do not run in the browser.

    What stands in a lambda does not count: notebook 00 tries out in this way what is there.
    """
    found = set[str]()
    for node in _without_lambdas(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) != "re":
            found |= {need for name, need in _NEEDS.items() if re.fullmatch(name, node.attr)}
    return found - {*sys.stdlib_module_names, *_IN_THE_SITE}


def _without_lambdas(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but nothing that stands in a lambda."""
    if not isinstance(node, ast.Lambda):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _without_lambdas(child)


# ---- the site


def _run_jupyterlite(work: Path, extension: Path) -> None:
    """Adds JupyterLite to what is in the folder; the result is in its folder `site`."""
    kernel = {
        "pyodideUrl": "./static/pyodide/pyodide.mjs",
        "disablePyPIFallback": True,
        "loadPyodideOptions": {
            "packages": [_name(wheel) for wheel in sorted(work.glob("static/pyodide/*.whl"))]
        },
    }
    settings = {
        "jupyter-lite-schema-version": 0,
        "jupyter-config-data": {
            "appName": "micrograd_plus",
            "litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel},
        },
    }
    building = {
        "apps": ["notebooks", "tree"],
        "cache_dir": str(work / "cache"),
        "contents": [str(work / "files")],
        "federated_extensions": [str(extension)],
        "ignore_sys_prefix": True,
        "no_sourcemaps": True,
        "no_unused_shared_packages": True,
        "output_dir": str(work / "site"),
    }
    (work / "jupyter-lite.json").write_text(json.dumps(settings), encoding="utf-8")
    (work / "jupyter_lite_config.json").write_text(
        json.dumps({"LiteBuildConfig": building}), encoding="utf-8"
    )
    _run([sys.executable, "-m", "jupyterlite_core", "build"], "JupyterLite failed", work)
    tree = work / "site" / "tree" / "index.html"
    tree.write_text(tree.read_text("utf-8").replace("<head>", _TO_NOTEBOOK, 1), "utf-8")
    icons = work / "site" / "static" / "favicons"  # which JupyterLite asks for, but does not write
    icons.mkdir()
    for name in ("favicon-notebook.ico", "favicon-busy-1.ico"):
        shutil.copyfile(work / "site" / "notebooks" / "favicon.ico", icons / name)


def _write_start_page(folder: Path, rows: list[Row]) -> None:
    """Writes index.html, with a link to each notebook."""
    page = (files(__package__) / "pages" / "site.html").read_text(encoding="utf-8")
    content = Template(page).substitute(
        count=len(rows),
        first=html.escape(_address(rows[0])),
        rows="\n".join(
            f'<li><a href="{html.escape(_address(row))}"><b>{html.escape(row.title)}</b>'
            f"<span>{html.escape(row.time)}</span><span>{html.escape(_how_it_runs(row))}</span>"
            "</a></li>"
            for row in rows
        ),
    )
    (folder / "index.html").write_text(content, encoding="utf-8")


def _address(row: Row) -> str:
    return f"notebooks/index.html?path={quote(row.path)}"


def _how_it_runs(row: Row) -> str:
    """In words, how much of a notebook runs in the browser."""
    plots, steps = row.needs.count("matplotlib"), row.needs.count("llvmlite")
    others = sorted({*row.needs} - {"matplotlib", "llvmlite"})
    parts = [f"{many(plots, 'plot')} not shown"] * (plots > 0)
    parts += ["training is slow"] * (steps > 0)
    if others:
        return "; ".join([f"Runs in part: {' and '.join(others)} not available", *parts])
    return "; ".join(["Runs", *parts]) if parts else "Runs completely"


def _run(command: list[str], failure: str, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise OSError("\n".join([f"{failure}:", *said[-5:]]))
