"""The course: its notebooks, the editions for students and teachers, grading, and progress.

Importing this package needs only the standard library.
"""
