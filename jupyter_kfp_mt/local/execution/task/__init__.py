"""In a task's own process: how it comes from a fork, its private mounts, its interpreter."""
