"""kdiag: the one command that says why a Kafka client cannot connect."""

__version__ = "0.1.0"
