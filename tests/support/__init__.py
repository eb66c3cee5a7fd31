"""What integration tests share: a small bundle, worker processes, readers of topics."""
