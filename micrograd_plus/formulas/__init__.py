"""Formulas as data: written as text or code, simplified, differentiated, parsed, and named.

writers: an expression tree as text, Python, JavaScript, LaTeX or MathML.
algebra: an expression in a simple form.
symbolic: a graph, and its derivatives, as formulas.
parse: a formula that a user typed, as a graph.
names: a name for every value of a graph.
"""
