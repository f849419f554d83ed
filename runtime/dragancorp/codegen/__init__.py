"""From `specs/` to `dragancorp_contracts`: everything generated comes out of here, and nothing else writes there."""

from dragancorp.codegen.drift import check
from dragancorp.codegen.emit import generate
from dragancorp.codegen.lint import Finding, SpecsInvalid, lint

__all__ = ["Finding", "SpecsInvalid", "check", "generate", "lint"]
