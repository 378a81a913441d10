"""Answers that must have a form: which tokens may come next, by llguidance."""
