-- Namespaces whose classes a continuation may use, as a JSON list: those of the one who submitted it. None: all.
ALTER TABLE setups ADD COLUMN namespaces TEXT;
