"""Asks the REST servers beside Kafka that a user named, by GET alone, and KD10xx rules on them."""
