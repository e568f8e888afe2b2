"""Recurring runs: when they are due, and that they are started then."""
