"""The sidecar: sums up what every worker saw, window by window, and says what changed."""
