"""HTTP for whoever asks: sessions, certificates, bodies and streams, and why there is no answer."""
