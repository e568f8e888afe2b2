"""Checks of a connection to KFP, and how to fix what is wrong."""
