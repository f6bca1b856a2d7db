"""How setuptools puts `notebooks/` into a wheel, as `micrograd_plus/course/notebooks/`.

pyproject.toml names this class. The folder stands beside the package, where setuptools does not
find it.
"""

from pathlib import Path

from setuptools.command.build_py import build_py

NOTEBOOKS = Path("notebooks")
PATTERNS = ("*.ipynb", "figures/*", "guide/*.md", "teacher/*.md")


class WithNotebooks(build_py):
    """Copies the package, and then the notebooks."""

    def run(self):
        super().run()
        if not self.editable_mode:  # which finds the notebooks in the clone
            for path in _files():
                target = Path(self.build_lib, "micrograd_plus", "course", path)
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target), preserve_mode=False)

    def get_source_files(self):
        """What an sdist contains: these files, and this one."""
        return [*super().get_source_files(), *map(str, _files()), "tests/building.py"]


def _files():
    return [path for pattern in PATTERNS for path in sorted(NOTEBOOKS.glob(pattern))]
