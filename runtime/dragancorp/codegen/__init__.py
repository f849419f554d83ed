"""From `specs/` to `dragancorp_contracts`: everything generated comes out of here, and nothing else writes there."""

from dragancorp.codegen.drift import check
from dragancorp.codegen.emit import ToolsMissing, generate
from dragancorp.codegen.findings import Finding, SpecsInvalid
from dragancorp.codegen.lint import lint

__all__ = ["Finding", "SpecsInvalid", "ToolsMissing", "check", "generate", "lint"]
