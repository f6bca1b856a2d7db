"""Python in the browser: its runtime, and the wheels of what the notebooks import."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .programs import run

_RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
_LOCK = "pyodide-lock.json"
_FROM_THE_LOCK = ("ipython", "jedi", "micropip", "tqdm")
"""What the kernel and `fit` import, in the versions that Pyodide was tested with."""
_FROM_PYPI = ("comm", "ipython-pygments-lexers")
"""What the kernel also imports."""
_PACKAGE = Path(__file__).parents[2]


def pyodide_package() -> Path | None:
    """Where the npm package `pyodide` is: in $NODE_PATH, in this folder or in one above it."""
    here = Path.cwd()
    named = [Path(folder) for folder in os.environ.get("NODE_PATH", "").split(os.pathsep) if folder]
    around = [folder / "node_modules" for folder in (here, *here.parents)]
    return next((p for f in (*named, *around) if (p := f / "pyodide").is_dir()), None)


def pyodide() -> Path:
    """The npm package; FileNotFoundError without it."""
    found = pyodide_package()
    if found is None:
        raise FileNotFoundError(
            "Python for the browser comes from the npm package pyodide, which was not found: run "
            "npm install pyodide@314 in this folder, or name its node_modules in $NODE_PATH"
        )
    return found


def write_runtime(runtime: Path, extension: Path, folder: Path) -> None:
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
    packages = {name_of(wheel): _entry(wheel) for wheel in sorted(folder.glob("*.whl"))}
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
    run(command, "pip could not fetch the wheels of the site")


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


def name_of(wheel: Path) -> str:
    """The package's name, as package lists write it."""
    return _normalized(wheel.name.split("-")[0])


def _entry(wheel: Path) -> dict[str, Any]:
    """What Pyodide has to know of a wheel."""
    return {
        "name": name_of(wheel), "version": wheel.name.split("-")[1], "file_name": wheel.name,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "install_dir": "site",
        "package_type": "package", "imports": [], "depends": [], "unvendored_tests": False,
    }  # fmt: skip
