"""Data sets: from a log of events and labels to what a model learns from, and the checks that find a lie in it."""
