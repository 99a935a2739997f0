-- +goose Up
CREATE TABLE course (
    id          TEXT PRIMARY KEY,
    slug        TEXT NOT NULL UNIQUE,
    title       TEXT NOT NULL,
    summary     TEXT NOT NULL,
    description TEXT NOT NULL,
    level       TEXT NOT NULL,
    hours       BIGINT NOT NULL,
    price_cents BIGINT NOT NULL,
    instructor  TEXT NOT NULL,
    category    TEXT NOT NULL,
    lessons     TEXT NOT NULL,
    active      BOOLEAN NOT NULL,
    version     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    sort_key    TEXT NOT NULL,
    search      TEXT NOT NULL
);
CREATE INDEX course_order ON course (sort_key, id);

CREATE TABLE student (
    id         TEXT PRIMARY KEY,
    cpf        TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    email      TEXT NOT NULL,
    phone      TEXT NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX student_email ON student (email, id);

CREATE TABLE enrolment (
    id           TEXT PRIMARY KEY,
    student_id   TEXT NOT NULL REFERENCES student (id),
    course_id    TEXT NOT NULL,
    course_title TEXT NOT NULL,
    payment_id   TEXT NOT NULL,
    state        TEXT NOT NULL,
    paid         BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    cancelled_at BIGINT NOT NULL
);
CREATE INDEX enrolment_student ON enrolment (student_id, created_at, id);
CREATE UNIQUE INDEX enrolment_active ON enrolment (student_id, course_id) WHERE state = 'ativa';

CREATE TABLE payment (
    id           TEXT PRIMARY KEY,
    enrolment_id TEXT NOT NULL,
    refunded     BOOLEAN NOT NULL
);

CREATE TABLE seeded (
    name TEXT PRIMARY KEY,
    at   BIGINT NOT NULL
);
