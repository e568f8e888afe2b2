"""One task's program: in a process or a container, with its files, and why it failed."""
