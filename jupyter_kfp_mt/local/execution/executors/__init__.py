"""The program of a task, which its run starts as a process or in a container, and why it failed."""
