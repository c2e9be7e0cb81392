-- Namespace that a change was made in; none: on the server.
ALTER TABLE audit_events ADD COLUMN namespace TEXT;
CREATE INDEX audit_events_of_namespace ON audit_events (namespace, at_ms, id);
