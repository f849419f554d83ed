"""Evidence on how a lane is doing."""
