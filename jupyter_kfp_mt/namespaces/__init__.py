"""Namespaces: their lists, the permissions in each, and their contributors."""
