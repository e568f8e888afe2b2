"""Operations on experiments, pipelines and runs, with checks and authorization, on plain values.

The caller is the first argument of each; checks are in the API server's order. Messages of refusals
are the API server's own, except for the outermost part, which differs between API versions.
"""

from .operations import Operations
from .values import Listed, NewRecurringRun, NewRun, Upload

__all__ = ["Listed", "NewRecurringRun", "NewRun", "Operations", "Upload"]
