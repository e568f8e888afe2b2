"""A folder's compiled pipelines on the local KFP, and which end as they are meant to."""
