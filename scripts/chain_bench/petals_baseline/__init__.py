"""Petals 2.2 as it comes, around our blocks: a server and a client loop, each a program of its own."""
