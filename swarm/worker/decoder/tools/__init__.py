"""Calls of functions: how each family is told of them, and how it writes them."""
