r"""Docstrings as HTML.

A docstring is plain text with a few habits: `backticks` around code, `name: meaning` at the start
of a line with further lines indented, examples after `>>>`, and tables or formulas as indented
blocks. It is not Markdown, in which the stars of `a * b * c` would disappear.

>>> print(as_html("Returns a * b.\n\na, b: any `Value`,\n    or a number."))
<p>Returns a * b.</p>
<dl><dt><code class="argument">a, b</code></dt><dd>any <code>Value</code>, or a number.</dd></dl>
"""

from __future__ import annotations

import re
from html import escape
from textwrap import dedent

_NAME = r"\*{0,2}(?:[a-z_]\w*|[A-Z])"
_DEFINITION = re.compile(rf"({_NAME}(?:, {_NAME})*): (.*)")


def as_html(text: str) -> str:
    """A docstring, whose indentation has been removed, as HTML."""
    return "\n".join(map(_block, re.split(r"\n\s*\n", text.strip("\n"))))


def _example(code: str) -> str:
    """An example with the classes of pygments, by which a style sheet gives it colours."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonConsoleLexer

    plain = re.sub(r"\s*# doctest: .*", "", code)
    shown = highlight(plain, PythonConsoleLexer(), HtmlFormatter(nowrap=True))
    return f'<pre class="code"><code>{shown.rstrip()}</code></pre>'


def _block(text: str) -> str:
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if line.lstrip().startswith(">>>"):
            before = _block("\n".join(lines[:i])) if i else ""
            return before + _example(dedent("\n".join(lines[i:])))
    if all(line.startswith("    ") for line in lines):
        return f"<pre>{escape(dedent(text))}</pre>"
    return _definitions(lines) or f"<p>{_prose(' '.join(line.strip() for line in lines))}</p>"


def _definitions(lines: list[str]) -> str:
    """A list of definitions; an empty string if the lines are something else."""
    items: list[list[str]] = []
    for line in lines:
        if found := _DEFINITION.fullmatch(line):
            items.append([*found.groups()])
        elif line.startswith("    ") and items:
            items[-1].append(line.strip())
        else:
            return ""
    terms = []
    for name, *text in items:
        meaning = _prose(" ".join(text))
        terms.append(f'<dt><code class="argument">{name}</code></dt><dd>{meaning}</dd>')
    return f"<dl>{''.join(terms)}</dl>"


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
