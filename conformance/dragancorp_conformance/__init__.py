"""Proof by URL: judges what any implementation answers by the contracts alone."""
