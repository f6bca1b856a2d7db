"""Pictures: computation graphs, networks, training curves; and derivations in words.

`draw(value)` draws the graph of a Value, `network(model)` the neurons and weights of a model;
both give a graphviz `Digraph` that shows itself in a notebook and is written to a file with
`.save("x.svg")`. The `plot_...` functions give matplotlib figures. `explain(value)` writes out
how the gradients of a Value come about.

Importing this package imports neither graphviz nor matplotlib.
"""

from .explain import explain
from .graph import draw, draw_dot
from .images import plot_feature_maps, plot_filters, plot_mistakes
from .network import network
from .plots import (
    plot_activations,
    plot_attention,
    plot_confusion_matrix,
    plot_decision_boundary,
    plot_gradient_through_time,
    plot_gradients,
    plot_loss,
    plot_residuals,
)

__all__ = [
    "draw",
    "draw_dot",
    "explain",
    "network",
    "plot_activations",
    "plot_attention",
    "plot_confusion_matrix",
    "plot_decision_boundary",
    "plot_feature_maps",
    "plot_filters",
    "plot_gradient_through_time",
    "plot_gradients",
    "plot_loss",
    "plot_mistakes",
    "plot_residuals",
]
