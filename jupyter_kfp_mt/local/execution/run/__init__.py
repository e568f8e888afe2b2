"""In a run's process: the walk through its pipeline, as KFP's driver and launcher do it."""
