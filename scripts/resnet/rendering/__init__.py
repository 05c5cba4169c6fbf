"""Tables, figures, claims and the report; no torch."""
