-- +goose Up
CREATE TABLE task (
    name          TEXT PRIMARY KEY,
    about         TEXT NOT NULL,
    schedule      TEXT NOT NULL,
    next_at       BIGINT NOT NULL,
    last_start    BIGINT NOT NULL DEFAULT 0,
    last_end      BIGINT NOT NULL DEFAULT 0,
    last_result   TEXT NOT NULL DEFAULT '',
    last_note     TEXT NOT NULL DEFAULT '',
    last_error    TEXT NOT NULL DEFAULT '',
    runs          BIGINT NOT NULL DEFAULT 0,
    failures      BIGINT NOT NULL DEFAULT 0,
    streak        BIGINT NOT NULL DEFAULT 0,
    running_since BIGINT NOT NULL DEFAULT 0,
    running_by    TEXT NOT NULL DEFAULT '',
    requested_at  BIGINT NOT NULL DEFAULT 0,
    requested_by  TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
