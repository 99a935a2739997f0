-- +goose Up
CREATE TABLE outbox (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    n       BIGINT NOT NULL,
    body    TEXT NOT NULL
);
CREATE TABLE outbox_subject (
    subject TEXT PRIMARY KEY,
    last    BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE inbox (
    subscription TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (subscription, event_id)
) WITHOUT ROWID;
CREATE TABLE idempotency (
    scope      TEXT NOT NULL,
    value      TEXT NOT NULL,
    request    TEXT NOT NULL,
    status     INTEGER NOT NULL,
    resource   TEXT NOT NULL,
    body       TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (scope, value)
) WITHOUT ROWID;
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
