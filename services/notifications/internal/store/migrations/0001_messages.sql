-- +goose Up
CREATE TABLE message (
    id          TEXT NOT NULL PRIMARY KEY,
    event_id    TEXT NOT NULL,
    kind        TEXT NOT NULL,
    topic       TEXT NOT NULL,
    course_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    email       TEXT NOT NULL,
    facts       TEXT NOT NULL,
    trace       TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    state       TEXT NOT NULL,
    attempts    INTEGER NOT NULL,
    due         BIGINT NOT NULL,
    subject     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    finished_at BIGINT NOT NULL,
    UNIQUE (event_id, kind)
);
CREATE INDEX message_due ON message (due, id) WHERE state = 'aguardando';
CREATE INDEX message_email ON message (email) WHERE state = 'aguardando';
CREATE INDEX message_topic ON message (topic) WHERE topic <> '';
CREATE INDEX message_finished ON message (finished_at, id) WHERE finished_at > 0;
