"""The four hops of a walk: they dial, wait and read facts, and judge nothing."""
