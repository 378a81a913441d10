"""Parts of `bench_vote.py`: candidates drawn once, arms that decide over them, rivals' rules, and paired statistics."""
