"""Recurring runs: computing when they are due, and starting them."""
