"""The explorer: a page that steps through any graph's forward and backward pass.

Importing this package imports nothing but the standard library.
"""

from .explorer import Explorer, step_through

__all__ = ["Explorer", "step_through"]
