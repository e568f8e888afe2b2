"""HTTP: sessions, certificates, bodies, streams, and the reasons for a missing answer."""
