"""Tenants: who is calling, which namespaces there are, and what each role may do."""
