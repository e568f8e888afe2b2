"""Requests and answers as the API server, which is written in Go, reads and writes them."""
