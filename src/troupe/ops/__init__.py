"""Running Troupe: supervision, the embedded PostgreSQL, doctor, what each process is made of."""
