"""The registry of models: which bundles there are, who let them run, and what ran when.

Kept by MLflow, in a folder of our own or on a tracking server. Who writes needs MLflow (`mlflow_store`); a worker only
reads, and does so without it (`source`).
"""
