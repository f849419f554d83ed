"""Breaking a running house on purpose, and one oracle that says whether a promise was broken with it.

`make chaos-short SEED=n` and `make chaos SEED=n` run it; `docs/how-to/chaos.md` says how to read what it prints.
"""
