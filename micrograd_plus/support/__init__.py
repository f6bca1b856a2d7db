"""Small things that every room may use: files, nested lists, progress bars, checks."""
