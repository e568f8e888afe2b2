"""The machine that the local KFP runs on: faults of its disk, and where logs go."""
