-- Slots of a runner that cannot be used, as it last said, as JSON; none where all can.
ALTER TABLE runners ADD COLUMN held_slots TEXT;
