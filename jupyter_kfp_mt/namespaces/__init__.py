"""Namespaces: which there are, what is allowed in each, and who shares them."""
