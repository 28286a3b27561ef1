"""SASL: the mechanisms, and the tokens and keys that are fetched before a login."""
