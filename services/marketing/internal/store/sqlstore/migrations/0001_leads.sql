-- +goose Up
CREATE TABLE lead (
    id              TEXT NOT NULL PRIMARY KEY,
    email           TEXT NOT NULL,
    course_id       TEXT NOT NULL,
    name            TEXT NOT NULL,
    phone           TEXT NOT NULL,
    course_title    TEXT NOT NULL,
    origin          TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    enrolled_at     BIGINT NOT NULL,
    unsubscribed_at BIGINT NOT NULL,
    reminded        INTEGER NOT NULL,
    due             BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    UNIQUE (email, course_id)
);
CREATE INDEX lead_due ON lead (due) WHERE due > 0;

CREATE TABLE enrolment (
    digest    TEXT NOT NULL,
    course_id TEXT NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (digest, course_id)
);
