"""Admission, counting, and the use case of answering on this node."""
