"""`python -m dragancorp_conformance`: the suite without the rest of the command line."""

import sys

from dragancorp_conformance.command import main

if __name__ == "__main__":
    sys.exit(main())
