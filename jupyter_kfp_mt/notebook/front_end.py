"""Which front end shows this kernel's outputs, as far as a kernel can know."""

from __future__ import annotations

import os
import sys

from IPython.core.getipython import get_ipython

# Jupyter Server names the session of a kernel in the first; Colab is known by the second.
_VARIABLES = ("JPY_SESSION_NAME", "COLAB_RELEASE_TAG")


def draws_widgets() -> bool:
    """Tell whether somebody may see a widget: in a Jupyter server's session, VS Code or Colab.

    papermill, nbclient and nbconvert start kernels without a session. A widget among their outputs
    would be saved with its whole program, and shown in place of the HTML beside it, by a page that
    has to fetch more programs from the internet.
    """
    shell = get_ipython()
    is_vs_code = shell is not None and "__vsc_ipynb_file__" in shell.user_ns
    return is_vs_code or "google.colab" in sys.modules or any(map(os.environ.get, _VARIABLES))
