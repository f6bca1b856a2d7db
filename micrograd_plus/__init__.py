"""micrograd_plus."""
from .engine import Constant, Value, detect_anomaly, no_grad, scope
from .functional import *
