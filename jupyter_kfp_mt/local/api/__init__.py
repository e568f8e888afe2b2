"""The REST API: reads requests, calls operations, writes responses."""
