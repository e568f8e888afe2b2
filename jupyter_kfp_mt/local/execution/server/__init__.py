"""The server's side of execution: the queue, and the processes that it starts."""
