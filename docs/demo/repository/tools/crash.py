"""An agent on a bad day: it dies in the middle of its work."""

import os

print("thinking hard about the slug module", flush=True)
os.abort()
