"""KD6xx: rules on configuration files."""
