"""AWS checks of a walk: facts from the AWS API, the reachability of addresses, and KD5xx rules."""
