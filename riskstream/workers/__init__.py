"""The world: processes, their Kafka and Redis ends, settings, metrics, health, the command line."""
