-- Time since which some server has been there without a break, by the clocks of servers: while none was,
-- no runner could tell anything, so silence of before means nothing. NULL: a server of before this.
ALTER TABLE database_state ADD COLUMN present_since_ms BIGINT;
