"""Pictures of computation graphs, networks and training, and derivations of gradients.

`draw(value)` draws the graph of a Value, `network(model)` the neurons and weights of a model. Both
return a graphviz `Digraph`, which notebooks display and `.save("x.svg")` writes to a file. The
`plot_...` functions return matplotlib figures. `explain(value)` derives the gradients of a Value
step by step.

Importing this package imports neither graphviz nor matplotlib.
"""

from .explain import explain as explain
from .graph import draw as draw
from .graph import draw_dot as draw_dot
from .images import plot_feature_maps as plot_feature_maps
from .images import plot_filters as plot_filters
from .images import plot_mistakes as plot_mistakes
from .network import network as network
from .plots import plot_activations as plot_activations
from .plots import plot_attention as plot_attention
from .plots import plot_confusion_matrix as plot_confusion_matrix
from .plots import plot_decision_boundary as plot_decision_boundary
from .plots import plot_gradient_through_time as plot_gradient_through_time
from .plots import plot_gradients as plot_gradients
from .plots import plot_loss as plot_loss
from .plots import plot_residuals as plot_residuals
from .profile import plot_profile as plot_profile
from .sweeps import plot_sweep as plot_sweep

__all__ = [name for name, thing in vars().items() if callable(thing)]
