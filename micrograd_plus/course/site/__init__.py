"""Builds the course as a static site: the notebooks run in the browser, with nothing installed.

The site is JupyterLite with its Pyodide kernel: CPython compiled to WebAssembly. Everything that
the browser loads is in the folder, so any file server can serve it, and no other host is asked.
The Python runtime comes from the npm package `pyodide`, and the other parts from PyPI.
"""

from .building import Site, build_site

__all__ = ["Site", "build_site"]
