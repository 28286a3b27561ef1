"""SASL: mechanisms, and what must be fetched before a login."""
