"""The processors, memory and accelerators that a task requests, which must be valid quantities.

Nothing is limited here, but a cluster does not start a task with an invalid quantity.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ....errors import KfpError
from .go_values import text_of
from .scopes import CHANNEL
from .task_inputs import shown

# For each group of a pod's resources: the name there, our fields (a text, and the number in which
# old compilers wrote it), the unit of the number, and what it is in messages.
_FIELDS = {
    "limits": (
        ("memory", "resource_memory_limit", "memory_limit", "G", "memory limit"),
        ("cpu", "resource_cpu_limit", "cpu_limit", "", "limit of processors"),
    ),
    "requests": (
        ("memory", "resource_memory_request", "memory_request", "G", "memory request"),
        ("cpu", "resource_cpu_request", "cpu_request", "", "request of processors"),
    ),
}
_PARAMETER = re.compile(r"\$.inputs.parameters\['(.+?)'\]")
# No real quantity is longer, and Kubernetes parses exponents of 8 bits.
_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]{1,200}\.?[0-9]{0,200}|\.[0-9]{1,200}))"
    r"([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?",
    re.ASCII,
)
_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


class NoQuantity(KfpError):
    """An invalid quantity; the message names the resource."""


def resources(container: Any, parameters: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the limits and requests of a container, as Kubernetes writes them.

    Rule: `getPodResource` and `initPodSpecPatch` in KFP's backend/src/v2/driver/driver.go, which
    take parameters only if they are texts. Raises NoQuantity for the first that Kubernetes could
    not read.
    """
    asked = container.resources
    found = {
        group: {
            name: _quantity(text, what, parameters)
            for name, field, old, unit, what in fields
            if (text := getattr(asked, field, "") or _number(getattr(asked, old), unit))
        }
        for group, fields in _FIELDS.items()
    }
    found["limits"] |= _accelerators(asked.accelerator, parameters)
    return {group: quantities for group, quantities in found.items() if quantities}


def canonical(quantity: str) -> str:
    """Return a quantity in the form in which Kubernetes writes it: 1024Mi is 1Gi, 0.5 is 500m.

    Rule: `CanonicalizeBytes` in Kubernetes' apimachinery/pkg/api/resource/quantity.go.
    """
    number, suffix = _parsed(quantity)
    value = number * _factor(suffix)
    in_bytes = suffix in _BINARY[1:] and abs(value) >= 1024 and value.denominator == 1
    base, suffixes = (1024, _BINARY) if in_bytes else (1000, _DECIMAL)
    amount = math.ceil(value if in_bytes else value * 1000**3)
    power = 0
    while amount % base == 0 and power < (len(suffixes) - 1 if amount else suffixes.index("")):
        amount, power = amount // base, power + 1
    exponent = 3 * (power - _DECIMAL.index(""))
    if suffix not in (*_BINARY, *_DECIMAL):  # an exponent stays one
        return f"{amount}e{exponent}" if exponent else str(amount)
    return f"{amount}{suffixes[power]}"


def _parsed(quantity: str) -> tuple[Fraction, str]:
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"not a quantity: {quantity}")
    return Fraction(found[1]), found[2] or ""


def _factor(suffix: str) -> Fraction:
    if suffix in _BINARY:
        return Fraction(1024 ** _BINARY.index(suffix))
    if suffix in _DECIMAL:
        return Fraction(1000) ** (_DECIMAL.index(suffix) - _DECIMAL.index(""))
    return Fraction(10) ** int(suffix[1:])


def _number(number: float, unit: str) -> str:
    return f"{text_of(number)}{unit}" if number else ""


def _accelerators(asked: Any, parameters: Mapping[str, Any]) -> dict[str, str]:
    kind = _given(getattr(asked, "resource_type", "") or asked.type, parameters)
    count = getattr(asked, "resource_count", "") or (str(asked.count) if asked.count > 0 else "")
    if not (kind and isinstance(kind, str) and count):
        return {}
    return {kind: _quantity(count, "number of accelerators", parameters)}


def _quantity(asked: str, what: str, parameters: Mapping[str, Any]) -> str:
    value = _given(asked, parameters)
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return canonical(value)
    name = _PARAMETER.search(asked)
    source = f"its {what} is '{name[1].removeprefix(CHANNEL)}'," if name else f"its {what} is"
    raise NoQuantity(
        f'{source} {shown(value)}, and Kubernetes takes a text such as "2", "500m" or "4Gi"'
    )


def _given(asked: str, parameters: Mapping[str, Any]) -> Any:
    name = _PARAMETER.search(asked)
    return parameters.get(name[1]) if name else asked
