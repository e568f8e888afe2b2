"""The server's side of execution: the queue of runs, and the processes that it starts."""
