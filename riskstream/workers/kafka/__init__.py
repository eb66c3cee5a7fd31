"""The Kafka end: the only place that knows confluent_kafka. Its errors are translated here."""
