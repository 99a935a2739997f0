-- +goose Up
CREATE TABLE account (
    id                  TEXT PRIMARY KEY,
    email               TEXT NOT NULL UNIQUE,
    name                TEXT NOT NULL,
    password_hash       TEXT NOT NULL,
    must_change         BOOLEAN NOT NULL,
    password_expires_at BIGINT NOT NULL,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL
);

CREATE TABLE account_student (
    student_id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    linked_at  BIGINT NOT NULL
);
CREATE INDEX account_student_account ON account_student (account_id);
