"""The database of the local KFP. All SQL statements are in this folder."""

from .database import Database, new_id

__all__ = ["Database", "new_id"]
