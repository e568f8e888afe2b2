"""The database of the local KFP. Every SQL statement of it is in this folder."""

from .database import Database, new_id

__all__ = ["Database", "new_id"]
