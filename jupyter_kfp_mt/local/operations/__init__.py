"""Operations on experiments, pipelines and runs: checked, authorized, on plain values.

Each takes who is calling first, and checks in the order of the API server; the messages of its
refusals are the API server's own, up to the outermost part, which differs between API versions.
"""

from .operations import Operations
from .values import Listed, NewRecurringRun, NewRun, Upload

__all__ = ["Listed", "NewRecurringRun", "NewRun", "Operations", "Upload"]
