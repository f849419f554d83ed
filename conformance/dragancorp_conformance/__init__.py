"""Proof by URL: judges what any implementation answers by the contracts alone.

It imports nothing of the runtime. Requirements are data (`requirements/*.yaml`), each with one check in `checks/`;
`runner.run` asks them of a `Target`, and `report` says what was found.
"""

SUITE_VERSION = "1.0.0"
"""Raised when a requirement is added or comes to mean something else."""
