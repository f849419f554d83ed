"""The operations API: the generated controllers over this plane."""
