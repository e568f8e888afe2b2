"""In a task's own process: how it is forked, its private mounts, and its interpreter."""
