"""The parts of an Argo workflow: how Argo names them, and the numbers it makes of the names.

A part is named after the one that it belongs to (`training-x7k2p.root.train.executor`), and its id
is the name of the workflow with the hash of its own (`training-x7k2p-3165684042`). Source: `NodeID`
in Argo's `workflow_types.go`.
"""

from __future__ import annotations

from typing import NamedTuple

_START = 0x811C9DC5


class Node(NamedTuple):
    """One part: its whole name, and the hash of that."""

    name: str
    number: int

    @classmethod
    def named(cls, name: str) -> Node:
        return cls(name, fnv(name))

    def part(self, name: str) -> Node:
        """Return the child of that name; its hash continues from this one's."""
        return Node(f"{self.name}.{name}", fnv(f".{name}", self.number))

    def attempt(self, number: int) -> Node:
        """Return one attempt of a node with retries; attempts are counted from 0."""
        return Node(f"{self.name}({number})", fnv(f"({number})", self.number))


def attempt_of(node_id: str, number: int) -> str:
    """The id of one attempt of a node with retries, of which the id is known and not the name."""
    workflow = node_id.rpartition("-")[0]
    return f"{workflow}-{fnv(f'({number})', number_of(node_id))}"


def fnv(text: str, number: int = _START) -> int:
    """FNV-1a in 32 bits; `number` is the hash of the text that this one continues."""
    for byte in text.encode():
        number = ((number ^ byte) * 0x01000193) & 0xFFFFFFFF
    return number


def number_of(node_id: str) -> int:
    """The hash in an id, or in the name of a pod; -1 where there is none, as in the workflow's."""
    number = node_id.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
