"""Tenants: identities of callers, profiles with their namespaces, and rights of roles."""
