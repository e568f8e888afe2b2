"""KFP's REST API: the typed client, a file for each noun, on one transport."""
