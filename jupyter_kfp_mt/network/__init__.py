"""HTTP: sessions, certificates, bodies, streams, and why there is no answer."""
