-- +goose Up
-- One row per charge; the key is the caller's idempotency key. No card data.
CREATE TABLE charge (
    id           TEXT PRIMARY KEY,
    key          TEXT NOT NULL UNIQUE,
    method       TEXT NOT NULL,
    state        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    amount_cents BIGINT NOT NULL,
    installments INTEGER NOT NULL,
    behaviour    TEXT NOT NULL,
    asks         INTEGER NOT NULL,
    code         TEXT NOT NULL,
    expires_at   BIGINT NOT NULL, -- Unix ms; 0: never
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);
CREATE INDEX charge_pending ON charge (expires_at) WHERE state = 'pendente';
CREATE INDEX charge_waiting ON charge (id) WHERE state = 'pendente';

-- Notices to the merchant that wait for their 2xx.
CREATE TABLE callback (
    id        TEXT PRIMARY KEY,
    charge_id TEXT NOT NULL,
    body      TEXT NOT NULL,
    attempts  INTEGER NOT NULL,
    next_at   BIGINT NOT NULL -- Unix ms
);
CREATE INDEX callback_due ON callback (next_at);
