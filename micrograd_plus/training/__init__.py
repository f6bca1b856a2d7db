"""The parts of `fit`: its history, and the steps of a training."""
