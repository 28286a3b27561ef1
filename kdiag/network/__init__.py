"""DNS, TCP and TLS: every failure comes back as a value."""
