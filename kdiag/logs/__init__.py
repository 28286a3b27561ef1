"""Explanation of logs: what the lines of Kafka clients and brokers mean."""
