"""The commands by area; `cli` mounts them. Each imports what it needs when it runs."""
