"""One thread for all that the model computes here, whoever asked for it, so that it runs as few and large steps."""
