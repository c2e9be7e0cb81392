-- What the runners of a class are to run, as JSON; none: the newest release of the stable channel.
ALTER TABLE resource_classes ADD COLUMN pin TEXT;

-- How far an update of a runner is, as it said with its last claim, as JSON.
ALTER TABLE runners ADD COLUMN update_state TEXT;
