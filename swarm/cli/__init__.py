"""argv in, exit code out (click)."""
