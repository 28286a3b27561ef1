"""What AWS told of the addresses a client dials, and how AWS decides on it: values, no calls."""
