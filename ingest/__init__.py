"""Knowledge -> index: load, validate, chunk, embed, write, and remove what vanished."""
