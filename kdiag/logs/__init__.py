"""Logs of Kafka's clients and brokers: what their lines mean, and their error names."""
