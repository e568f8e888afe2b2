"""The `%kfp` of this IPython, found without loading anything."""

from __future__ import annotations

import sys
from typing import Any


def loaded_magic() -> Any:
    """The `KfpMagics` of this IPython; None outside IPython, or if `%kfp` is not loaded."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell.magics_manager.registry.get("KfpMagics") if shell else None
