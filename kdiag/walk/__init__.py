"""The four hops: they dial, wait and read, and judge nothing."""
