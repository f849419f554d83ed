"""`python -m dragancorp.cli` is `dragan`."""

from dragancorp.cli import main

if __name__ == "__main__":
    main()
