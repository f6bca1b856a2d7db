"""Formulas as data: they are written as text or code, simplified, differentiated and parsed.

writers: writes an expression tree as text, Python, JavaScript, LaTeX or MathML.
shared: functions that Python and the explorer's page both compute.
description: describes in one line how a Value was computed.
names: gives every value of a graph a name.
algebra: simplifies formulas.
symbolic: turns a graph and its derivatives into formulas.
parse: turns an expression typed by a user into a graph.
"""
