"""Takes a model along: to PyTorch's modules, and back."""
