"""Faults on purpose, and a judge who shares no code with the workers: what is promised, put to the test."""
