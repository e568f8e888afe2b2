"""The nodes of an Argo workflow: their names, and the hashes that Argo computes from the names.

A node's name begins with its parent's (`training-x7k2p.root.train.executor`); its id is the name of
the workflow and the hash of the node's name (`training-x7k2p-3165684042`). Source: `NodeID` in
Argo's `workflow_types.go`.
"""

from __future__ import annotations

from typing import NamedTuple

_START = 0x811C9DC5


class Node(NamedTuple):
    """One node: its full name, and the hash of the name."""

    name: str
    number: int

    @classmethod
    def named(cls, name: str) -> Node:
        return cls(name, fnv(name))

    def part(self, name: str) -> Node:
        """Return the child with that name; its hash continues this node's."""
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
    """The hash in a node's id or a pod's name; -1 if it has none, as the id of the root node."""
    number = node_id.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
