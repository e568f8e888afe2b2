"""The data folder: its files and its ownership."""
