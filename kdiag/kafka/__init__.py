"""The Kafka protocol: messages, one connection, logins, and the real client."""
