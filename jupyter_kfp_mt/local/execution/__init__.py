"""Execution of runs: queued by the server, each in processes of its own."""
