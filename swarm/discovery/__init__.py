"""Finding others: mDNS, and a static list beside it (zeroconf). Everything found is a hint where to probe."""
