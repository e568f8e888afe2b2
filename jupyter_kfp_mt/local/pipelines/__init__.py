"""Pipeline files: reading, checking and fetching them, and the macros in parameters."""
