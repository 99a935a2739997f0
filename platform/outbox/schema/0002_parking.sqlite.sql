-- +goose Up
-- Letters of package parking. The first letter of a subject is never 'behind'.
CREATE TABLE letter (
    position     INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription TEXT NOT NULL,
    id           TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    subject      TEXT NOT NULL,
    state        TEXT NOT NULL,
    body         BLOB NOT NULL,
    type         TEXT NOT NULL,
    trace_id     TEXT NOT NULL,
    due          BIGINT NOT NULL,
    tries        INTEGER NOT NULL,
    history      TEXT NOT NULL,
    parked_at    BIGINT NOT NULL,
    parked_by    TEXT NOT NULL,
    replay       TEXT NOT NULL,
    kind         TEXT NOT NULL,
    code         TEXT NOT NULL,
    error        TEXT NOT NULL,
    cause        TEXT NOT NULL,
    acted        BIGINT NOT NULL DEFAULT 0,
    UNIQUE (subscription, id)
);
CREATE INDEX letter_subject ON letter (subscription, subject, position);
CREATE INDEX letter_order ON letter (subscription, position);
CREATE INDEX letter_state ON letter (subscription, state, position);
CREATE INDEX letter_front ON letter (subscription, acted, position) WHERE state <> 'behind';
CREATE INDEX letter_due ON letter (subscription, due) WHERE state = 'waiting';
CREATE TABLE letter_audit (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    at           BIGINT NOT NULL,
    who          TEXT NOT NULL,
    act          TEXT NOT NULL,
    subscription TEXT NOT NULL,
    letter       TEXT NOT NULL,
    type         TEXT NOT NULL,
    subject      TEXT NOT NULL,
    detail       TEXT NOT NULL
);
CREATE INDEX letter_audit_letter ON letter_audit (subscription, letter);
-- One row for each subscription that ever parked something: its lock, and the hold.
CREATE TABLE subscription_hold (
    subscription TEXT PRIMARY KEY,
    until        BIGINT NOT NULL -- held by operators until then, Unix ms
);
