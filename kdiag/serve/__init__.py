"""kdiag serve: walks to targets whenever Prometheus asks, in blackbox_exporter's manner."""
