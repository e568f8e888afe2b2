"""Requests and responses, as read and written by the API server, which is a Go program."""
