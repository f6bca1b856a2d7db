"""JupyterLite: the notebook interface of the site, which its own program builds."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

from .programs import run
from .runtime import name_of

_KERNEL = "jupyterlite-pyodide-kernel"
_TO_NOTEBOOK = """<head>
    <script>
      // A link in one notebook to another comes here.
      const path = new URLSearchParams(location.search).get("path") ?? "";
      if (path.endsWith(".ipynb")) location.replace(`../notebooks/index.html?path=${path}`);
    </script>"""


def kernel_extension() -> Path:
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


def add_jupyterlite(work: Path, extension: Path) -> None:
    """Adds JupyterLite to what is in the folder; the result is in its folder `site`."""
    kernel = {
        "pyodideUrl": "./static/pyodide/pyodide.mjs",
        "disablePyPIFallback": True,
        "loadPyodideOptions": {
            "packages": [name_of(wheel) for wheel in sorted(work.glob("static/pyodide/*.whl"))]
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
    run([sys.executable, "-m", "jupyterlite_core", "build"], "JupyterLite failed", work)
    tree = work / "site" / "tree" / "index.html"
    tree.write_text(tree.read_text("utf-8").replace("<head>", _TO_NOTEBOOK, 1), "utf-8")
    icons = work / "site" / "static" / "favicons"  # which JupyterLite asks for, but does not write
    icons.mkdir()
    for name in ("favicon-notebook.ico", "favicon-busy-1.ico"):
        shutil.copyfile(work / "site" / "notebooks" / "favicon.ico", icons / name)
