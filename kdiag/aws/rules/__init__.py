"""KD5xx: rules on what AWS says."""
