"""How it runs: the embedded local stack and the demo."""
