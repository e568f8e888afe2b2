"""An approximation of the collation by which the API server's database compares names.

MySQL's utf8mb4_unicode_520_ci looks only at the letters themselves: neither at case nor accents nor
width, and not at spaces at the end. Rule: the Unicode Collation Algorithm 5.2.0, primary weights.
In ASCII their order is exact; letters of other scripts are in the order of Unicode.
"""

from __future__ import annotations

import sqlite3
import unicodedata

_ORDER = "\t\n\x0b\x0c\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz"
_RANKS = str.maketrans({char: chr(rank) for rank, char in enumerate(_ORDER, start=1)})
# Letters whose strokes are ignored like accents, and ligatures.
_PLAIN = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ƶ": "z", "ħ": "h"})
_VIRAMA = 9

# Columns with text by people. All others contain only ASCII.
WRITTEN = frozenset({"name", "display_name", "description"})


def folded(text: str) -> str:
    """The text without what the collation ignores, except spaces at its end."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(filter(_counts, plain.translate(_PLAIN)))


def collation_key(text: str) -> str:
    """A text's sort key: keys compare like texts in the collation."""
    return folded(text).rstrip(" ").translate(_RANKS)


def register(db: sqlite3.Connection) -> None:
    """Give a connection the functions that queries and indices use."""
    db.create_function("folded", 1, folded, deterministic=True)
    db.create_function("collation_key", 1, collation_key, deterministic=True)


def refuse_taken(db: sqlite3.Connection, table: str, owner: tuple[str, str], name: str) -> None:
    """Raise sqlite3.IntegrityError if the owner (column, value) already has this name.

    It must begin the caller's transaction: until its end nobody else can take the name.
    """
    if not db.in_transaction:
        db.execute("BEGIN IMMEDIATE")
    column = "display_name" if table == "experiments" else "name"
    query = f"SELECT 1 FROM {table} WHERE {owner[0]} = ? AND collation_key({column}) = ?"
    if db.execute(query, (owner[1], collation_key(name))).fetchone():
        raise sqlite3.IntegrityError(f"{table}.{column} is taken")


def _counts(char: str) -> bool:
    mark = unicodedata.combining(char) not in (0, _VIRAMA)
    invisible = unicodedata.category(char) in ("Cf", "Cc") and char not in _ORDER
    return not (mark or invisible)
