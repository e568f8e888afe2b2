"""Checks of a connection from outside in: what is wrong with it, and how to fix it."""
