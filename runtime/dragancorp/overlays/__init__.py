"""Overlays: what a base profile, an overlay and the global caps come to, pure and without surprises.

`findings` says everything that is wrong at once; `resolve` says what holds and where every value comes from.
"""

from dragancorp.overlays.finding import Finding
from dragancorp.overlays.findings import findings
from dragancorp.overlays.resolution import Resolution, Resolved, Source
from dragancorp.overlays.resolve import resolve

__all__ = ["Finding", "Resolution", "Resolved", "Source", "findings", "resolve"]
