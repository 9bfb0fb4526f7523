"""Data: files that become batches. Read `feed.py` first."""
