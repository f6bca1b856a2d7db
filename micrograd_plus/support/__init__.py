"""Helpers for all modules: files, nested lists, progress bars, checks of arguments."""
