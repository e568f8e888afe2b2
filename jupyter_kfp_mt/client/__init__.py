"""KFP's REST API: the typed client, task logs, pipeline files, and the kfp SDK wired alike."""
