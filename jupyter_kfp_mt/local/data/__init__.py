"""The data folder: where everything is kept, and whose it is."""
