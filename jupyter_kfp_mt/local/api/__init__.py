"""The REST API: requests read, operations called, answers written."""
