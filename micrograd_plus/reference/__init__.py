"""The reference: a folder of HTML pages about every public name, with a guide and a gallery.

`build(folder)` writes it. The pages of the interface are made from the docstrings by pdoc, which
reads the imported package: the operations, whose docstrings are made from the op table, are on the
pages too. (mkdocstrings reads source files, and does not find them.) The guide is in the Markdown
files of `notebooks/guide`. The pictures of the gallery are made by running its code.

`names` finds the public names and their pages, `docstrings` writes a docstring as HTML, `gallery`
runs code and shows its results, and `site` writes the pages.
"""

from .site import build as build
