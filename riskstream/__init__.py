"""Riskstream scores every payment event on a Kafka topic once, within milliseconds, and can prove afterwards why."""
