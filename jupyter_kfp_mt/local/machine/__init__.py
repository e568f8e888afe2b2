"""The machine of the local KFP: faults of its disk, its logs, and its version of kfp."""
