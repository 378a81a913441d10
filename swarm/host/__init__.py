"""This machine: clock, hardware, folders, addresses, identity (psutil)."""
