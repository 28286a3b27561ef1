"""A package: what is started once for it ends with its last test."""
