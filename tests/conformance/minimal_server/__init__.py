"""A second implementation of the operations API at level core: Starlette and a dictionary, nothing of the runtime.

It shows that the contracts alone are enough to build from, and gives the suite something to break.
"""
