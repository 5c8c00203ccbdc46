"""Saving and loading: weights today, each format in a file of its own."""
