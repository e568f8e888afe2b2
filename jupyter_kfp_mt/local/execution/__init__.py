"""How runs execute: queued by the server, each in processes of its own, through kfp.local."""
