"""The commands, an area each. The command line mounts them; each imports what it needs when it runs."""
