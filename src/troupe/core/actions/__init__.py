"""State changes: each is one function, one transaction and one row in the audit log."""
