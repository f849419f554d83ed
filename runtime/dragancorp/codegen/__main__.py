"""`python -m dragancorp.codegen --specs DIR --out DIR [--check]`."""

import argparse
import sys
from pathlib import Path

from dragancorp.codegen import SpecsInvalid, ToolsMissing, check, generate


def main(arguments: list[str] | None = None) -> int:
    """0: done, or nothing differs; 1: the generated code differs; 3: the specs cannot be generated from."""
    parser = argparse.ArgumentParser(prog="python -m dragancorp.codegen", description="Generate code from the specs.")
    parser.add_argument("--specs", type=Path, default=Path("specs"), help="the folder of contracts (default: specs)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("generated/dragancorp_contracts"),
        help="the package to write (default: generated/dragancorp_contracts)",
    )
    parser.add_argument("--docs", type=Path, help="the folder of reference pages to write; none: no pages")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the package differs")
    chosen = parser.parse_args(arguments)
    try:
        if not chosen.check:
            written = generate(chosen.specs, chosen.out, chosen.docs)
            print(f"{len(written)} files in {chosen.out}", file=sys.stderr)
            return 0
        differences = check(chosen.specs, chosen.out, chosen.docs)
    except (SpecsInvalid, ToolsMissing, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 3
    for difference in differences:
        print(difference)
    if differences:
        print(f"{len(differences)} files differ; run `make codegen`", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
