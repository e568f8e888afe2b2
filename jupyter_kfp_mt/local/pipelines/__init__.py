"""Pipeline files: read, checked and fetched, and what is filled into parameters."""
