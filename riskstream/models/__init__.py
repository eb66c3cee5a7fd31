"""The maths: what a model sees and says. Arrays in, arrays out; no clock, no network, no environment."""
