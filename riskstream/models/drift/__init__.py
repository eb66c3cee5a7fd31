"""Drift: what the worker counts of each batch, and what can be said of the counts of a window of event time."""
