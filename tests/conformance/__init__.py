"""Whether a folder's compiled pipelines end on the local KFP as they are meant to."""
