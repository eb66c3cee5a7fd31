"""Training: from a data set to a bundle that has proved itself. Nothing of it is on the serving side."""
