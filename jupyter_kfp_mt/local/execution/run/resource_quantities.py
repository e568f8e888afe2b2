"""The processors, memory and accelerators that a task asks for, which have to be quantities.

Nothing is limited here, but a cluster does not start a task that asks for what is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ....errors import KfpError
from .scopes import CHANNEL
from .task_inputs import shown

_FIELDS = {
    "resource_cpu_limit": "limit of processors",
    "resource_cpu_request": "request of processors",
    "resource_memory_limit": "memory limit",
    "resource_memory_request": "memory request",
}
_PARAMETER = re.compile(r"\$.inputs.parameters\['(.+?)'\]")
_QUANTITY = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?", re.ASCII
)


class NoQuantity(KfpError):
    """A resource of which nobody knows how much is asked for; the message says which."""


def check_resources(container: Any, parameters: Mapping[str, Any]) -> None:
    """Raise NoQuantity for the first resource of a container that Kubernetes could not read.

    Rule: `getPodResource` and `initPodSpecPatch` in KFP's backend/src/v2/driver/driver.go, which
    take parameters only if they are texts.
    """
    resources = container.resources
    for field, what in _FIELDS.items():
        _check(getattr(resources, field, ""), what, parameters)
    accelerator = resources.accelerator
    _check(getattr(accelerator, "resource_count", ""), "number of accelerators", parameters)


def _check(asked: str, what: str, parameters: Mapping[str, Any]) -> None:
    name = _PARAMETER.search(asked)
    value = parameters.get(name[1]) if name else asked
    if not asked or isinstance(value, str) and _QUANTITY.fullmatch(value):
        return
    source = f"its {what} is '{name[1].removeprefix(CHANNEL)}'," if name else f"its {what} is"
    raise NoQuantity(
        f'{source} {shown(value)}, and Kubernetes takes a text such as "2", "500m" or "4Gi"'
    )
