"""Bytes ⇄ domain: between nodes, and between daemon and worker. Pure; versioned; strangers' bytes are checked."""
